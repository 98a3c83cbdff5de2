export { ignoresSignal, readProcessArguments, readProcessStat } from './process-stat.js'
export { checkpointBytes, requireRoom } from './require-room.js'
export { requireSameSteps } from './require-same-steps.js'
export { inspectRunFolder, openRunFolder, RunFolder, readRunState } from './run-folder.js'
export { RunLock } from './run-lock.js'
export { RunLog } from './run-log.js'
export {
  checkpointStore,
  findNamedStart,
  findOwnStart,
  requireSameData,
  requireSameDraw,
  type StartPoint,
  startPoint,
} from './start-point.js'
export { TensorBoardLog, tensorboardFolder } from './tensorboard-log.js'
