import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { buildInfo } from '@adapt-ts/torch'
import { buildBatch, splitGlobalBatch } from '../batch/index.js'
import { publishModel } from '../checkpoint/index.js'
import { type RunConfig, renderResolvedConfig } from '../config/index.js'
import { readDocuments } from '../dataset/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { type Evaluation, evaluateText } from '../eval/index.js'
import { needsAnchors } from '../method/index.js'
import { EventWriter, type RunEvent, type StepRecord } from '../record/index.js'
import type { StepEvents, Trainer } from '../train/index.js'
import { buildTrainer, planSteps, type StepPlan } from './build-trainer.js'
import { type PreparedData, prepareData } from './prepare-data.js'
import { openRunFolder, type RunFolder } from './run-folder.js'
import { writeRunReport } from './run-report.js'
import { StopRequest } from './stop-request.js'

export interface TrainingRequest {
  readonly config: RunConfig
  /** Folder that the config's paths are relative to. Absolute. */
  readonly baseDir: string
  /** Replace a run in `output_dir`. */
  readonly overwrite: boolean
  /** Events worth a line: refreshes, evaluations, alerts. */
  readonly onLine: (line: string) => void
  /** Called once per optimiser step. */
  readonly onStep: (record: StepRecord, totalSteps: number) => void
}

export interface TrainingOutcome {
  readonly outputDir: string
  readonly reportPath: string
  readonly steps: readonly StepRecord[]
  /** The last evaluation, when there are sets. */
  readonly evaluation?: Evaluation
}

/** Trains what a config describes and leaves a run folder. */
export async function runTraining(request: TrainingRequest): Promise<TrainingOutcome> {
  const { config, baseDir, onLine } = request
  const data = await prepareData(config, baseDir, { needsAnchors: needsAnchors(config.method), onLine })
  try {
    const plan = planSteps(config, data)
    // What can be refused is refused before an older run in the folder is removed.
    const built = buildTrainer(config, baseDir, data, plan)
    try {
      return await trainInFolder(request, data, plan, built)
    } finally {
      built.trainer.dispose()
      built.trainer.model.dispose()
    }
  } finally {
    data.train.close()
  }
}

async function trainInFolder(
  request: TrainingRequest,
  data: PreparedData,
  plan: StepPlan,
  built: ReturnType<typeof buildTrainer>,
): Promise<TrainingOutcome> {
  const folder = openRunFolder(resolve(request.config.output_dir), request.overwrite)
  folder.writeState('running', 0, plan.totalSteps)
  const events = new EventWriter(folder.file('events.jsonl'))
  const run = new TrainingRun(request, data, plan, folder, events)
  try {
    return await run.run(built)
  } catch (error) {
    if (!(error instanceof AdaptError && error.code === 'INTERRUPTED')) run.recordFailure(error)
    throw error
  } finally {
    events.close()
  }
}

/** Least time between two writes of run.json. */
const HEARTBEAT_MS = 5000

/** One run: the loop over steps and the observers around it. */
class TrainingRun {
  private readonly steps: StepRecord[] = []
  private readonly evaluations: { step: number; sources: Evaluation['sources'] }[] = []
  private lastEvaluation: Evaluation | undefined
  private lastBeat = performance.now()

  constructor(
    private readonly request: TrainingRequest,
    private readonly data: PreparedData,
    private readonly plan: StepPlan,
    private readonly folder: RunFolder,
    private readonly events: EventWriter,
  ) {}

  async run({ trainer, method, dtype }: ReturnType<typeof buildTrainer>): Promise<TrainingOutcome> {
    const { onLine } = this.request
    this.writeProvenance()
    const { numSamples, numTokens } = this.data.train
    onLine(
      `model ${(trainer.model.numParameters / 1e6).toFixed(2)}M parameters, ${dtype ?? 'float32'}; ` +
        `data ${numSamples.toLocaleString('en')} samples, ${numTokens.toLocaleString('en')} tokens` +
        `${this.data.numAnchors > 0 ? `, ${this.data.numAnchors} anchors` : ''}; ` +
        `method ${method.name} (${method.normalizer}); ${this.plan.totalSteps} steps`,
    )
    using stop = new StopRequest()
    await this.loop(trainer, stop, dtype)
    publishModel(trainer.model, this.folder.file('model'), {
      tokenizerFolder: this.data.tokenizer.folder,
      bosId: this.data.tokenizer.bosId,
      eosId: this.data.tokenizer.eosId,
      padId: this.data.tokenizer.padId,
    })
    return this.finish(trainer, stop)
  }

  private async loop(
    trainer: Trainer,
    stop: StopRequest,
    dtype: ReturnType<typeof buildTrainer>['dtype'],
  ): Promise<void> {
    const { config, onStep } = this.request
    const { every_steps } = config.evaluation
    if (every_steps !== undefined) await this.evaluate(trainer, dtype)
    while (trainer.step < this.plan.totalSteps && !stop.requested) {
      const { batches, epoch } = this.nextBatches()
      const { record, events } = trainer.runStep(batches, epoch)
      this.steps.push(record)
      this.recordStep(record, events)
      onStep(record, this.plan.totalSteps)
      this.beat(trainer.step)
      // Signals, timers and the log get their turn between two steps.
      await new Promise(setImmediate)
      if (
        every_steps !== undefined &&
        trainer.step % every_steps === 0 &&
        trainer.step < this.plan.totalSteps
      ) {
        await this.evaluate(trainer, dtype)
      }
    }
    await this.evaluate(trainer, dtype)
  }

  /** Shows from outside that the run is alive. */
  private beat(step: number): void {
    if (performance.now() - this.lastBeat < HEARTBEAT_MS) return
    this.lastBeat = performance.now()
    this.folder.writeState('running', step, this.plan.totalSteps)
  }

  /** The micro-batches of the next step, and the epoch in which it begins. */
  private nextBatches() {
    const { training, data } = this.request.config
    const shape = {
      perDevice: training.per_device_train_batch_size,
      accumulation: training.gradient_accumulation_steps,
      worldSize: 1,
      rank: 0,
    }
    let step = this.data.rows.next(this.plan.globalRows, { crossEpochs: this.plan.crossEpochs })
    if (training.dataloader_drop_last && step.rows.length < this.plan.globalRows) {
      step = this.data.rows.next(this.plan.globalRows, { crossEpochs: this.plan.crossEpochs })
    }
    const batches = splitGlobalBatch(step.rows, shape)
      .filter((rows) => rows.length > 0)
      .map((rows) =>
        buildBatch(rows, this.data.train, {
          padId: this.data.padId,
          packing: data.packing,
          ...(data.packing ? { maxLength: data.max_length } : {}),
        }),
      )
    return { batches, epoch: step.epoch }
  }

  private recordStep(record: StepRecord, { refresh, calibrations }: StepEvents): void {
    const { step, time } = record
    if (refresh) {
      const { report, ms, flops } = refresh
      this.events.append({
        type: 'refresh',
        step: step - 1,
        time,
        reason: step === 1 ? 'start' : 'interval',
        numAnchors: report.numAnchors,
        refreshMs: ms,
        flops,
        diagnostics: report.figures,
      })
    }
    this.events.append(record)
    const { gate } = this.request.config.method
    for (const { mu, tau, edr, essRatio, reached } of calibrations) {
      this.events.append({
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
    if (record.skipped) {
      const message = `step ${step}: the optimiser did not move (loss ${record.lossWeighted}, gradient norm ${record.gradNorm})`
      this.alert(step, 'STEP_SKIPPED', message)
    }
  }

  private alert(step: number, code: string, message: string): void {
    this.events.append({
      type: 'alert',
      step,
      time: Date.now() / 1000,
      severity: 'warning',
      code,
      message,
      values: {},
    })
    this.request.onLine(`warning: ${message}`)
  }

  private async evaluate(trainer: Trainer, dtype: ReturnType<typeof buildTrainer>['dtype']): Promise<void> {
    const { evaluation, data } = this.request.config
    if (this.data.evaluationFiles.length === 0) return
    const result = await evaluateText(
      trainer.model,
      this.data.tokenizer,
      readDocuments(this.data.evaluationFiles),
      {
        maxLength: data.max_length,
        batchSize: evaluation.per_device_eval_batch_size,
        autocastDtype: dtype,
      },
    )
    this.lastEvaluation = result
    this.evaluations.push({ step: trainer.step, sources: result.sources })
    this.events.append({
      type: 'evaluation',
      step: trainer.step,
      time: Date.now() / 1000,
      sources: result.sources,
    })
    this.folder.write(`eval/step-${trainer.step}.json`, `${JSON.stringify(result, null, 2)}\n`)
    const parts = Object.entries(result.sources).map(
      ([name, { bits_per_byte }]) => `${name} ${bits_per_byte.toFixed(4)}`,
    )
    this.request.onLine(
      `step ${trainer.step}: bits per byte ${parts.join('  ')}  all ${result.all.bits_per_byte.toFixed(4)}`,
    )
  }

  /** Leaves failure.json, and says in the log and in run.json how far the run came. */
  recordFailure(error: unknown): void {
    const known = error instanceof AdaptError
    const failure = {
      class: error instanceof Error ? error.name : 'unknown',
      code: known ? error.code : 'INTERNAL',
      message: error instanceof Error ? error.message : String(error),
      context: known ? error.context : {},
    }
    this.folder.write('failure.json', `${JSON.stringify(failure, null, 2)}\n`)
    this.writeEnd('failed', known ? error.exitCode : EXIT.bug)
  }

  /** The last event of a run, and run.json. */
  private writeEnd(status: 'finished' | 'interrupted' | 'failed', exitCode: number): void {
    const last = this.steps.at(-1)
    const { lossWeighted = Number.NaN, flopsTrain = 0, flopsSignal = 0, step = 0 } = last ?? {}
    this.events.append({
      type: 'run-end',
      step,
      time: Date.now() / 1000,
      status,
      exitCode,
      summary: { lossWeighted, flopsTrain, flopsSignal },
    })
    this.folder.writeState(status, step, this.plan.totalSteps)
  }

  private writeProvenance(): void {
    const { config } = this.request
    const info = buildInfo()
    const resolved = renderResolvedConfig(config)
    const provenance = {
      command: process.argv.slice(2),
      versions: { node: process.version, libtorch: info.libtorchVersion },
      engine: { capability: info.cpuCapability, threads: info.numThreads },
      data: { train: this.data.train.fingerprint, tokenizer: this.data.tokenizer.hash },
      config_sha256: createHash('sha256').update(resolved).digest('hex'),
      seed: config.training.seed,
      started: new Date().toISOString(),
    }
    this.folder.write('config.yaml', resolved)
    this.folder.write('provenance.json', `${JSON.stringify(provenance, null, 2)}\n`)
    const start: RunEvent = {
      type: 'run-start',
      step: 0,
      time: Date.now() / 1000,
      name: config.output_dir,
      config: {
        method: config.method.preset,
        seed: config.training.seed,
        learning_rate: config.training.learning_rate,
      },
      versions: provenance.versions,
    }
    this.events.append(start)
  }

  private finish(trainer: Trainer, stop: StopRequest): TrainingOutcome {
    const reportPath = this.folder.file('report.html')
    writeRunReport(reportPath, this.request.config, this.steps, this.evaluations)
    this.writeEnd(stop.requested ? 'interrupted' : 'finished', stop.requested ? EXIT.interrupted : EXIT.done)
    stop.throwIfRequested(trainer.step, this.folder.path)
    return {
      outputDir: this.folder.path,
      reportPath,
      steps: this.steps,
      ...(this.lastEvaluation ? { evaluation: this.lastEvaluation } : {}),
    }
  }
}
