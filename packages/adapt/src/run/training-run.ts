import { setTimeout as sleep } from 'node:timers/promises'
import { buildBatch, type RowStream, splitGlobalBatch } from '../batch/index.js'
import { type CheckpointStore, requireFiniteState, writeTrainingState } from '../checkpoint/index.js'
import type { StepPlan } from '../config/index.js'
import { AdaptError, EXIT, ResourceError } from '../errors.js'
import type { SaveTrainedOptions } from '../model/index.js'
import type { OrderedData } from '../open/index.js'
import { baseModelName, describeAnchorOverlap } from '../open/index.js'
import { currentSteps, readEvents, type StepRecord } from '../record/index.js'
import type { RunFolder } from '../run-folder/index.js'
import { checkpointStore, RunLog, type StartPoint, TensorBoardLog } from '../run-folder/index.js'
import { writeRunReport } from '../run-report/index.js'
import type { StepEvents } from '../train/index.js'
import { BestModel } from './best-model.js'
import type { BuiltTrainer } from './build-trainer.js'
import { describeTraining } from './describe-training.js'
import { FlatRun } from './flat-run.js'
import { recordProvenance } from './provenance.js'
import { type PublishNote, publishTrained } from './publish-trained.js'
import { RunEvaluations } from './run-evaluations.js'
import type { TrainingOutcome, TrainingRequest } from './run-training.js'
import { SideWork } from './side-work.js'
import type { StopRequest } from './stop-request.js'

export interface TrainingRunParts {
  readonly request: TrainingRequest
  readonly data: OrderedData
  readonly plan: StepPlan
  readonly built: BuiltTrainer
  readonly stop: StopRequest
  readonly folder: RunFolder
  readonly start: StartPoint | undefined
  /** Completed steps when this process begins. */
  readonly startStep: number
}

/** Least time between two writes of run.json. */
const HEARTBEAT_MS = 5000
/** Longest that a run which was asked to stop, or failed, works on its report. */
const REPORT_MS = 10_000
/** Saves in a row that may fail before the run ends. */
const MAX_FAILED_SAVES = 3

/** One run: the loop over steps and the observers around it. */
export class TrainingRun {
  private lastStep: StepRecord | undefined
  private readonly rows: RowStream
  private readonly log: RunLog
  private readonly checkpoints: CheckpointStore
  private readonly best: BestModel
  private readonly evaluations: RunEvaluations
  private readonly flat: FlatRun
  private lastBeat = performance.now()
  private failedSaves = 0
  private readonly side = new SideWork((work, message) => {
    const code = work === 'tokenizer' ? 'TOKENIZER_CHANGED' : `${work.toUpperCase()}_FAILED`
    this.alert(this.parts.built.trainer.step, code, message)
  })
  private lastSaved: number
  private readonly toldMissing = new Set<string>()

  constructor(private readonly parts: TrainingRunParts) {
    const { data, folder, start, startStep } = parts
    this.rows = start ? data.rowsFrom(start.state.cursor) : data.rows
    this.checkpoints = checkpointStore(folder.path)
    this.best = new BestModel(parts.request.config)
    this.flat = new FlatRun(parts.built.trainer.model.config.vocabSize)
    this.lastSaved = start?.isOwn === true ? startStep : -1
    const history = start?.isOwn === true ? RunLog.history(folder, startStep) : []
    const onWarning = (message: string): void => this.warn(message)
    this.log = new RunLog(folder, new TensorBoardLog(parts.request.config, startStep, onWarning), onWarning)
    const { log, best } = this
    this.evaluations = new RunEvaluations(parts, { log, best, alert: this.alert.bind(this) })
    for (const event of history) {
      if (event.type === 'step') {
        this.lastStep = event
        this.flat.note(event)
      }
      if (event.type === 'evaluation') this.evaluations.restore(event)
    }
  }

  async run(): Promise<TrainingOutcome> {
    const { request, folder, plan, startStep, start } = this.parts
    folder.writeState('running', startStep, plan.totalSteps)
    this.log.event(recordProvenance(this.parts))
    for (const message of this.parts.data.warnings) this.alert(startStep, 'DATA', message)
    request.onLine(describeTraining(this.parts))
    const overlap = this.parts.data.anchorOverlap && describeAnchorOverlap(this.parts.data.anchorOverlap)
    if (overlap !== undefined && start?.isOwn !== true) this.alert(startStep, 'ANCHOR_OVERLAP', overlap)
    if (start) request.onLine(`goes on from step ${startStep} (${start.folder})`)
    if (start?.isOwn === true) this.tellMissing(startStep)
    await this.loop()
    return await (this.stopsEarly ? this.leave() : this.finish())
  }

  /** Each gap once. */
  private tellMissing(step: number): void {
    for (const message of this.log.missing(step).filter((one) => !this.toldMissing.has(one))) {
      this.toldMissing.add(message)
      this.alert(step, 'RECORDS_MISSING', message)
    }
  }

  /** Whether the run must end here although steps or the last evaluation are missing. */
  private get stopsEarly(): boolean {
    const { request, stop, built } = this.parts
    return stop.requested || built.trainer.step === request.stopAfterStep
  }

  private async loop(): Promise<void> {
    const { request, built, plan } = this.parts
    const { trainer } = built
    const { save_steps } = request.config.training
    // A run that was stopped between a save and the evaluation after it catches up.
    await this.evaluateWhenDue()
    while (trainer.step < plan.totalSteps && !this.stopsEarly && !this.best.isOver) {
      const { batches, epoch } = this.saveOnFailure(() => this.nextBatches())
      const { record, events } = trainer.runStep(batches, epoch)
      this.lastStep = record
      this.recordStep(record, events)
      request.onStep(record, plan.totalSteps)
      this.beat(trainer.step)
      // Timers and the log get their turn between two steps.
      await new Promise(setImmediate)
      if (trainer.step % save_steps === 0 && !this.stopsEarly) this.trySave()
      await this.evaluateWhenDue()
    }
  }

  /** Shows from outside that the run is alive. */
  private beat(step: number): void {
    if (performance.now() - this.lastBeat < HEARTBEAT_MS) return
    this.lastBeat = performance.now()
    const { folder, plan } = this.parts
    this.side.attemptNow('state', () => folder.writeState('running', step, plan.totalSteps))
  }

  /** Reads what the next step needs; when that cannot be read, what was trained so far is saved first. */
  private saveOnFailure<T>(read: () => T): T {
    const place = this.rows.cursor
    try {
      return read()
    } catch (error) {
      this.side.attemptNow('checkpoint', () => {
        if (this.parts.built.trainer.step > this.parts.startStep) this.save(place)
      })
      throw error
    }
  }

  /** The micro-batches of the next step, and its epoch. */
  private nextBatches() {
    const { data, plan, request } = this.parts
    const { training, data: dataConfig } = request.config
    const shape = {
      perDevice: training.per_device_train_batch_size,
      accumulation: training.gradient_accumulation_steps,
      worldSize: 1,
      rank: 0,
    }
    const step = this.rows.next(plan.globalRows, { multipleOf: plan.batchRows })
    const batches = splitGlobalBatch(step.rows, shape)
      .filter((rows) => rows.length > 0)
      .map((rows) =>
        buildBatch(rows, data.train, {
          padId: data.padId,
          packing: dataConfig.packing,
          ...(dataConfig.packing ? { maxLength: dataConfig.max_length } : {}),
        }),
      )
    return { batches, epoch: step.epoch }
  }

  private recordStep(record: StepRecord, { refresh, calibrations, totals }: StepEvents): void {
    const { step, time } = record
    if (refresh) {
      const { report, ms, flops } = refresh
      this.log.event({
        type: 'refresh',
        step: step - 1,
        time,
        reason: report.reason,
        numAnchors: report.numAnchors,
        refreshMs: ms,
        flops,
        diagnostics: report.figures,
      })
    }
    this.log.samples(step, totals.samples)
    this.log.event(record)
    const { gate } = this.parts.request.config.method
    for (const { mu, tau, edr, essRatio, reached } of calibrations) {
      this.log.event({
        type: 'calibration',
        step,
        time,
        mu,
        tau,
        targetEdr: 'edr' in gate ? gate.edr : Number.NaN,
        targetEss: 'ess' in gate ? gate.ess : Number.NaN,
        edr,
        essRatio,
        numScores: record.numSamples,
        reached,
      })
    }
    const flat = this.flat.note(record)
    if (flat !== undefined) this.alert(step, 'NO_GRADIENT', flat)
    if (record.skipped) {
      const message = `step ${step}: the optimiser did not move (loss ${record.lossWeighted}, gradient norm ${record.gradNorm})`
      this.alert(step, 'STEP_SKIPPED', message)
    }
  }

  private alert(step: number, code: string, message: string): void {
    this.note({ severity: 'warning', code, message }, step)
  }

  /** Something a person should know, in the log and on a line. */
  private note({ severity, code, message }: PublishNote, step = this.parts.built.trainer.step): void {
    this.log.event({ type: 'alert', step, time: Date.now() / 1000, severity, code, message, values: {} })
    if (severity === 'warning') this.warn(message)
    else this.parts.request.onLine(message)
  }

  private warn(message: string): void {
    this.parts.request.onLine(`warning: ${message}`)
  }

  /** A save that may fail: the run goes on without it, but not for ever. */
  private trySave(): void {
    try {
      this.save()
      this.failedSaves = 0
    } catch (error) {
      if (!(error instanceof ResourceError)) throw error
      this.failedSaves += 1
      if (this.failedSaves >= MAX_FAILED_SAVES) throw error
      this.alert(this.parts.built.trainer.step, 'CHECKPOINT_FAILED', `${error.message}; the run goes on`)
    }
  }

  /** Publishes a checkpoint of this step, after everything that was recorded up to it. */
  private save(cursor = this.rows.cursor): void {
    const { request, built, data, plan } = this.parts
    const { trainer } = built
    // Before anything is written or pruned, and before a model is published.
    requireFiniteState(trainer, this.checkpoints.steps().at(-1))
    if (this.lastSaved === trainer.step) return
    const position = {
      cursor,
      global_rows: plan.globalRows,
      method: request.config.method,
      fingerprints: data.fingerprints,
    }
    this.log.flush()
    this.checkpoints.publish(
      trainer.step,
      (folder) => writeTrainingState(folder, trainer, position, this.modelOptions()),
      request.config.training.save_total_limit,
      this.best.best?.step,
    )
    this.lastSaved = trainer.step
    this.side.attemptNow('tokenizer', () => {
      const change = data.tokenizerFiles.change()
      if (change !== undefined)
        throw new Error(
          `tokenizer: ${change} since the run read it; models are saved with the files that were read`,
        )
    })
  }

  private modelOptions(): SaveTrainedOptions {
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

  /** Evaluates between two steps where the config asks for it and no evaluation of this step is there. */
  private async evaluateWhenDue(): Promise<void> {
    const { every_steps } = this.parts.request.config.evaluation
    const { step } = this.parts.built.trainer
    if (every_steps === undefined || step % every_steps !== 0) return
    if (step >= this.parts.plan.totalSteps || this.stopsEarly) return
    if (!this.evaluations.has(step)) await this.evaluate()
    if (this.best.best?.step === step) this.trySave()
  }

  private async evaluate(): Promise<void> {
    await this.side.attempt('evaluation', () => this.evaluations.evaluate())
  }

  /**
   * The end of a run that is done: last checkpoint, evaluation, model, report.
   * @throws what the last evaluation did, when the model is published: the same call makes up for it.
   */
  private async finish(): Promise<TrainingOutcome> {
    const { built, folder, stop, plan, request } = this.parts
    const { trainer } = built
    this.save()
    // Someone may have removed them meanwhile; what is recorded is no model.
    this.side.attemptNow('records', () => this.tellMissing(trainer.step))
    // Patience ends with an evaluation.
    if (!(this.best.isOver && this.evaluations.latest !== undefined)) await this.evaluate()
    if (stop.requested) return this.leave()
    const note = publishTrained(this.best, {
      trainer,
      checkpoints: this.checkpoints,
      folder: folder.file('model'),
      options: this.modelOptions(),
    })
    if (this.best.isOver && trainer.step < plan.totalSteps) {
      const message = `stopped early after step ${trainer.step} of ${plan.totalSteps}: no better evaluation in ${request.config.training.early_stopping_patience}`
      this.note({ severity: 'info', code: 'EARLY_STOP', message })
    }
    if (note) this.note(note)
    const outcome = await this.writeReport()
    const missing = this.side.failure('evaluation')
    if (missing !== undefined) throw missing
    this.writeEnd('finished', EXIT.done)
    return outcome
  }

  /** The end of a run that was stopped and can go on. @throws {AdaptError} INTERRUPTED after a signal. */
  private async leave(): Promise<TrainingOutcome> {
    const { built, stop, folder } = this.parts
    const { step } = built.trainer
    this.save()
    this.writeEnd('interrupted', EXIT.resumable)
    // Who asked for the stop may not wait long: nothing is lost when the page is cut off, and `adapt report` makes it later.
    const limit = stop.requested ? REPORT_MS : undefined
    const outcome = await this.writeReport(limit)
    stop.throwIfRequested(`after step ${step}; the same command goes on from ${folder.path}`)
    return { ...outcome, stoppedAt: step }
  }

  private async writeReport(limitMs?: number): Promise<TrainingOutcome> {
    const { folder, request } = this.parts
    const reportPath = await this.side.attempt('report', async () => {
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
      ...this.evaluations.latest,
    }
  }

  /** Leaves failure.json and a report, and says in the log and in run.json how far the run came. */
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
      this.parts.folder.write('failure.json', `${JSON.stringify(failure, null, 2)}\n`)
      await this.writeReport(REPORT_MS)
    } catch {
      // What ended the run may keep this from being written too; the run's own error is what counts.
    }
  }

  /** The last event of a run, and run.json. */
  private writeEnd(status: 'finished' | 'interrupted' | 'failed', exitCode: number): void {
    const { lossWeighted = Number.NaN, flopsTrain = 0, flopsSignal = 0, step = 0 } = this.lastStep ?? {}
    this.log.event({
      type: 'run-end',
      step,
      time: Date.now() / 1000,
      status,
      exitCode,
      summary: { lossWeighted, flopsTrain, flopsSignal },
    })
    // Where it cannot be written the next start finds a run that did not end, and does the little that is left.
    this.side.attemptNow('state', () =>
      this.parts.folder.writeState(status, step, this.parts.plan.totalSteps),
    )
  }

  close(): void {
    this.log.close()
  }
}
