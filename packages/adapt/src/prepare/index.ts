export { artefactKey, type Prepared } from './artefact-store.js'
export { ChunkStore } from './chunk-store.js'
export { type PrepareContext, prepareSignal, selectPool } from './prepare-method.js'
export { type TrainTo, trainProxy } from './proxy-run.js'
