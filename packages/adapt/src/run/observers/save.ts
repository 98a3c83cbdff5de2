import { scope } from '@adapt-ts/torch'
import type { RowCursor } from '../../batch/index.js'
import { type CheckpointStore, requireFiniteState, writeTrainingState } from '../../checkpoint/index.js'
import { AdaptError, EXIT } from '../../errors.js'
import type { SaveTrainedOptions } from '../../model/index.js'
import { baseModelName } from '../../open/index.js'
import { checkpointStore } from '../../run-folder/index.js'
import type { TrainerTensors } from '../../train/index.js'
import type { BestModel } from '../best-model.js'
import { type RunObserver, type RunParts, stopsEarly } from '../run-parts.js'
import { requireSameReplicas } from '../same-replicas.js'
import type { Recorder } from './record.js'

/** Saves in a row that may fail before the run ends. */
const MAX_FAILED_SAVES = 3

/** Saves checkpoints of a run. */
export class Saver implements RunObserver {
  readonly checkpoints: CheckpointStore
  private lastSaved: number
  private failedSaves = 0

  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Recorder,
    private readonly best: BestModel,
  ) {
    const { folder, start, startStep } = parts
    this.checkpoints = checkpointStore(folder.path)
    this.lastSaved = start?.isOwn === true ? startStep : -1
  }

  betweenSteps(): void {
    const { request, built } = this.parts
    if (built.trainer.step % request.config.training.save_steps === 0 && !stopsEarly(this.parts))
      this.trySave()
  }

  /** What was trained so far is saved first. */
  beforeFailure(cursor: RowCursor): void {
    this.recorder.side.attemptNow('checkpoint', () => {
      if (this.parts.built.trainer.step > this.parts.startStep) this.save(cursor)
    })
  }

  /** A save that may fail: the run goes on without it, but not for ever. */
  trySave(): void {
    try {
      this.save()
      this.failedSaves = 0
    } catch (error) {
      if (!(error instanceof AdaptError && error.exitCode === EXIT.resource)) throw error
      this.failedSaves += 1
      if (this.failedSaves >= MAX_FAILED_SAVES) throw error
      this.recorder.alert('CHECKPOINT_FAILED', `${error.message}; the run goes on`)
    }
  }

  /**
   * Publishes a checkpoint of this step, after everything that was recorded up to it.
   * @throws {NumericError} for weights that are not finite. @throws {ResourceError} when it cannot be written.
   */
  save(cursor = this.parts.queue.cursor): void {
    const { trainer } = this.parts.built
    // Before anything is written or pruned, and before a model is published.
    const { world } = this.parts
    world.together(() => requireFiniteState(trainer, this.checkpoints.steps().at(-1)))
    if (this.lastSaved === trainer.step) return
    requireSameReplicas(world, trainer.model, trainer.step, 'trained')
    // What the ranks recorded up to here is on the disk before the checkpoint that stands on it.
    world.together(() => this.recorder.log.flush())
    scope(() => {
      const state = trainer.state()
      world.together(() => {
        if (world.isFirst) this.publish(cursor, state)
      })
    })
    this.lastSaved = trainer.step
  }

  private publish(cursor: RowCursor, state: TrainerTensors): void {
    const { request, built, data, plan } = this.parts
    const { trainer } = built
    const position = {
      cursor,
      global_rows: plan.globalRows,
      world_size: this.parts.world.worldSize,
      method: request.config.method,
      fingerprints: data.fingerprints,
    }
    this.checkpoints.publish(
      trainer.step,
      (folder) => writeTrainingState(folder, trainer, position, this.modelOptions(), state),
      request.config.training.save_total_limit,
      this.best.best?.step,
    )
    this.recorder.side.attemptNow('tokenizer', () => {
      const change = data.tokenizerFiles.change()
      if (change !== undefined)
        throw new Error(
          `tokenizer: ${change} since the run read it; models are saved with the files that were read`,
        )
    })
  }

  /** How models of this run are written, with its tokenizer. */
  modelOptions(): SaveTrainedOptions {
    const { request, data, folder } = this.parts
    const { bosId, eosId, padId, chat } = data.tokenizer
    const tokenizerFolder = folder.file('tokenizer')
    data.tokenizerFiles.writeTo(tokenizerFolder)
    const baseModel = baseModelName(request.config, request.baseDir)
    // One that the tokenizer folder does not have is lost otherwise.
    const isOwn = request.config.data.chat_template === undefined
    const chatTemplate = isOwn ? undefined : chat.template?.source
    const { stopIds } = data
    return { tokenizerFolder, bosId, eosId, padId, stopIds, baseModel, chatTemplate }
  }
}
