export { CheckpointStore, type FoundCheckpoint } from './checkpoint-store.js'
export { type FileDigest, type Manifest, verifyManifest } from './manifest.js'
export { publishCheckpointModel, publishModel } from './publish-model.js'
export { requireFiniteState } from './require-finite.js'
export {
  loadTrainingState,
  readTrainingState,
  type TrainingPosition,
  type TrainingState,
  writeTrainingState,
} from './training-state.js'
