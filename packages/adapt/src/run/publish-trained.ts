import { type CheckpointStore, publishCheckpointModel, publishModel } from '../checkpoint/index.js'
import { AdaptError } from '../errors.js'
import type { SaveTrainedOptions } from '../model/index.js'
import type { Trainer } from '../train/index.js'
import type { BestModel } from './best-model.js'
import type { RunNote } from './run-parts.js'

/** What is published, and where to. */
export interface TrainedModel {
  readonly trainer: Trainer
  readonly checkpoints: CheckpointStore
  /** Folder of the published model. */
  readonly folder: string
  readonly options: SaveTrainedOptions
}

/**
 * Publishes the model of a run that is done: that of the best evaluation where the config asks for it, else the last one.
 * A best checkpoint that is gone or damaged is told; then it is the last one too.
 * @throws {ResourceError} MODEL_WRITE.
 */
export function publishTrained(
  best: BestModel,
  { trainer, checkpoints, folder, options }: TrainedModel,
): RunNote | undefined {
  const last = () => publishModel(trainer.model, folder, options)
  const found = best.best
  if (!best.isPublished || found === undefined || found.step === trainer.step) {
    last()
    const message = best.describe()
    return message === undefined ? undefined : { severity: 'info', code: 'BEST_MODEL', message }
  }
  try {
    publishCheckpointModel(checkpoints.folderOf(found.step), folder)
    const message = `${best.describe()}; model/ is that of step ${found.step}`
    return { severity: 'info', code: 'BEST_MODEL', message }
  } catch (error) {
    if (!(error instanceof AdaptError) || error.code === 'MODEL_WRITE') throw error
    last()
    const message = `${best.describe()}, but its checkpoint cannot be used (${error.message}): model/ is that of the last step`
    return { severity: 'warning', code: 'BEST_MODEL_LOST', message }
  }
}
