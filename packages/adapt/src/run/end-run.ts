import { setTimeout as sleep } from 'node:timers/promises'
import { AdaptError, EXIT, ResourceError } from '../errors.js'
import { currentSteps, readEvents } from '../record/index.js'
import { RunFolder } from '../run-folder/index.js'
import { writeRunReport } from '../run-report/index.js'
import type { BestModel } from './best-model.js'
import type { Evaluator } from './observers/evaluate.js'
import type { TaskEvaluator } from './observers/evaluate-tasks.js'
import type { Recorder } from './observers/record.js'
import type { Saver } from './observers/save.js'
import { publishTrained } from './publish-trained.js'
import type { RunNote, RunParts, TrainingOutcome } from './run-parts.js'
import { isOfPeer } from './world.js'

/** Longest that a run which was asked to stop, or failed, works on its report. */
const REPORT_MS = 10_000

/** The three ends of a run: done, stopped, failed. */
export class RunEnd {
  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Recorder,
    private readonly saver: Saver,
    private readonly measuring: { readonly evaluator: Evaluator; readonly asker: TaskEvaluator },
    private readonly best: BestModel,
  ) {}

  /**
   * The end of a run that is done: last checkpoint, evaluation, model, report.
   * @throws what the last evaluation did, when the model is published: the same call makes up for it.
   */
  async finish(): Promise<TrainingOutcome> {
    const { built, folder, stop, plan, request, world } = this.parts
    const { best, recorder, saver } = this
    const { evaluator, asker } = this.measuring
    const { trainer } = built
    saver.save()
    // Someone may have removed them meanwhile; what is recorded is no model.
    recorder.side.attemptNow('records', () => recorder.tellMissing())
    // Patience ends with an evaluation.
    if (!(best.isOver && evaluator.latestStep === trainer.step)) await evaluator.evaluate()
    stop.settle()
    if (!stop.requested) await asker.finish()
    stop.settle()
    if (stop.requested) return this.leave()
    let note: RunNote | undefined
    world.together(() => {
      if (!world.isFirst) return
      note = publishTrained(best, {
        trainer,
        checkpoints: saver.checkpoints,
        runFolder: folder,
        weights: request.config.evaluation.weights,
        options: saver.modelOptions(),
      })
    })
    if (best.isOver && trainer.step < plan.totalSteps) {
      const message = `stopped early after step ${trainer.step} of ${plan.totalSteps}: no better evaluation in ${request.config.training.early_stopping_patience}`
      recorder.note({ severity: 'info', code: 'EARLY_STOP', message })
    }
    if (note) recorder.note(note)
    const outcome = await this.writeReport()
    const missing = recorder.side.failure('evaluation') ?? recorder.side.failure('tasks')
    world.together(() => {
      if (missing !== undefined) throw missing
    })
    this.writeEnd('finished', EXIT.done)
    await world.leave()
    return outcome
  }

  /** The end of a run that was stopped and can go on. @throws {AdaptError} INTERRUPTED after a signal. */
  async leave(): Promise<TrainingOutcome> {
    const { built, stop, folder, world } = this.parts
    const { step } = built.trainer
    this.saver.save()
    this.writeEnd('interrupted', EXIT.resumable)
    // Who asked for the stop may not wait long: nothing is lost when the page is cut off, and `adapt report` makes it later.
    const limit = stop.requested ? REPORT_MS : undefined
    const outcome = await this.writeReport(limit)
    await world.leave()
    stop.throwIfRequested(`after step ${step}; the same command goes on from ${folder.path}`)
    return { ...outcome, stoppedAt: step }
  }

  /**
   * Leaves failure.json and a report, and says in the log and in run.json how far the run came. Of several ranks the one that failed writes
   * failure.json; one that ends because of it has nothing to say there.
   */
  async recordFailure(error: unknown): Promise<void> {
    const known = error instanceof AdaptError
    const failure = {
      class: error instanceof Error ? error.name : 'unknown',
      code: known ? error.code : 'INTERNAL',
      message: error instanceof Error ? error.message : String(error),
      context: known ? error.context : {},
    }
    try {
      this.writeEnd('failed', known ? error.exitCode : EXIT.bug)
      if (!isOfPeer(error))
        new RunFolder(this.parts.folder.path).write('failure.json', `${JSON.stringify(failure, null, 2)}\n`)
      if (!this.parts.world.isFirst) return
      await this.writeReport(REPORT_MS)
    } catch {
      // What ended the run may keep this from being written too; the run's own error is what counts.
    }
  }

  private async writeReport(limitMs?: number): Promise<TrainingOutcome> {
    const { folder, request, world } = this.parts
    const reportPath = await this.recorder.side.attempt('report', async () => {
      if (!world.isFirst) return undefined
      const written = writeRunReport([folder.path], { baseDir: request.baseDir })
      if (limitMs === undefined) return await written
      const timer = new AbortController()
      const first = await Promise.race([written, sleep(limitMs, undefined, { signal: timer.signal })])
      timer.abort()
      if (first !== undefined) return first
      throw new ResourceError('REPORT_LATE', `no report after ${limitMs / 1000} s: adapt report makes one`)
    })
    return {
      outputDir: folder.path,
      ...(reportPath === undefined ? {} : { reportPath }),
      // Read when asked for: a long run's records are not held in memory.
      get steps() {
        return currentSteps(readEvents(folder.file('events.jsonl')).events)
      },
      ...(this.best.best ? { best: this.best.best } : {}),
      ...this.measuring.evaluator.latest,
      ...(this.measuring.asker.latest ? { tasks: this.measuring.asker.latest } : {}),
    }
  }

  private preparationCost(): Readonly<Record<string, number>> {
    const { prepared } = this.parts
    return prepared === undefined ? {} : { flopsPreparation: prepared.flops }
  }

  /** The last event of a run, and run.json. */
  private writeEnd(status: 'finished' | 'interrupted' | 'failed', exitCode: number): void {
    const {
      lossWeighted = Number.NaN,
      flopsTrain = 0,
      flopsSignal = 0,
      step = 0,
    } = this.recorder.lastStep ?? {}
    this.recorder.log.event({
      type: 'run-end',
      step,
      time: Date.now() / 1000,
      status,
      exitCode,
      summary: { lossWeighted, flopsTrain, flopsSignal, ...this.preparationCost() },
    })
    // Where it cannot be written the next start finds a run that did not end, and does the little that is left.
    this.recorder.side.attemptNow('state', () =>
      this.parts.folder.writeState(status, step, this.parts.plan.totalSteps),
    )
  }
}
