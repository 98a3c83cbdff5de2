export { CheckpointStore, type FoundCheckpoint } from './checkpoint-store.js'
export { fromExactJson, toExactJson } from './exact-json.js'
export { type FileDigest, MANIFEST_NAME, type Manifest, verifyManifest, writeManifest } from './manifest.js'
export { publishFolder } from './publish-folder.js'
export { type ModelWeights, publishCheckpointModel, publishModel } from './publish-model.js'
export { requireFiniteState } from './require-finite.js'
export {
  loadTrainingState,
  readTrainingState,
  type TrainingPosition,
  type TrainingState,
  writeTrainingState,
} from './training-state.js'
