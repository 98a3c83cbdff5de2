import {
  type CheckpointStore,
  type ModelWeights,
  publishCheckpointModel,
  publishModel,
} from '../checkpoint/index.js'
import { AdaptError } from '../errors.js'
import type { SaveTrainedOptions } from '../model/index.js'
import type { RunFolder } from '../run-folder/index.js'
import type { Trainer } from '../train/index.js'
import type { BestModel } from './best-model.js'
import { lendWeights } from './lend-weights.js'
import type { RunNote } from './run-parts.js'

/** What is published, and where to. */
export interface TrainedModel {
  readonly trainer: Trainer
  readonly checkpoints: CheckpointStore
  readonly runFolder: Pick<RunFolder, 'file'>
  readonly options: SaveTrainedOptions
  /** Those that `model/` holds. */
  readonly weights: ModelWeights
}

/**
 * Publishes the model of a run that is done: that of the best evaluation where the config asks for it, else the last one.
 * A best checkpoint that is gone or damaged is told; then it is the last one too. An average that is kept beside raw weights is published
 * beside them, in `model-ema/`.
 * @throws {ResourceError} MODEL_WRITE.
 */
export function publishTrained(best: BestModel, trained: TrainedModel): RunNote | undefined {
  const { trainer, checkpoints, runFolder, options, weights } = trained
  const folders: readonly (readonly [ModelWeights, string])[] = [
    [weights, runFolder.file('model')],
    ...(weights === 'raw' && trainer.average ? [['ema', runFolder.file('model-ema')] as const] : []),
  ]
  const last = () => {
    for (const [kind, folder] of folders) {
      using _weights = lendWeights(trainer, kind)
      publishModel(trainer.model, folder, options)
    }
  }
  const found = best.best
  if (!best.isPublished || found === undefined || found.step === trainer.step) {
    last()
    const message = best.describe()
    return message === undefined ? undefined : { severity: 'info', code: 'BEST_MODEL', message }
  }
  try {
    for (const [kind, folder] of folders)
      publishCheckpointModel(checkpoints.folderOf(found.step), folder, kind)
    const message = `${best.describe()}; model/ is that of step ${found.step}`
    return { severity: 'info', code: 'BEST_MODEL', message }
  } catch (error) {
    if (!(error instanceof AdaptError) || error.code === 'MODEL_WRITE') throw error
    last()
    const message = `${best.describe()}, but its checkpoint cannot be used (${error.message}): model/ is that of the last step`
    return { severity: 'warning', code: 'BEST_MODEL_LOST', message }
  }
}
