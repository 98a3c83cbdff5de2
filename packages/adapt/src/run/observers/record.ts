import type { PoolProgress } from '../../method/index.js'
import { describeAnchorOverlap, describeTaskOverlap } from '../../open/index.js'
import {
  type AlertEvent,
  type EvaluationEvent,
  methodEvent,
  type StepRecord,
  type TasksEvent,
} from '../../record/index.js'
import { RunLog, TensorBoardLog } from '../../run-folder/index.js'
import { describeKept } from '../describe-kept.js'
import { describeTraining } from '../describe-training.js'
import { FlatRun } from '../flat-run.js'
import { recordProvenance } from '../provenance.js'
import type { RunNote, RunObserver, RunParts, StepResult } from '../run-parts.js'
import { SideWork } from '../side-work.js'

/** Between two lines on how far a pool is scored. */
const LINE_MS = 2000

/** Records what happens: events, the ledger, provenance; tells the steps and what a person should know. */
export class Recorder implements RunObserver, Disposable {
  readonly log: RunLog
  /** What is done besides the model; its failures are alerts. */
  readonly side = new SideWork((work, message) => {
    const code = work === 'tokenizer' ? 'TOKENIZER_CHANGED' : `${work.toUpperCase()}_FAILED`
    this.alert(code, message)
  })
  /** Evaluations that the log holds from before this process. */
  readonly evaluations: EvaluationEvent[] = []
  /** The same of tasks, asked or left out. */
  readonly taskEvents: (TasksEvent | AlertEvent)[] = []
  private trainMs = 0
  private tokens = 0
  private readonly flat: FlatRun
  private readonly toldMissing = new Set<string>()
  private last: StepRecord | undefined
  private lastLine = performance.now()

  constructor(private readonly parts: RunParts) {
    const { request, built, folder, start, startStep, world } = parts
    this.flat = new FlatRun(built.trainer.model.config.vocabSize)
    for (const event of start?.isOwn === true ? RunLog.history(folder, startStep) : []) {
      if (event.type === 'evaluation') this.evaluations.push(event)
      const isLeftOut = event.type === 'alert' && event.code === 'TASKS_SKIPPED'
      if (event.type === 'tasks' || isLeftOut) this.taskEvents.push(event)
      if (event.type !== 'step') continue
      this.noteStep(event)
      this.flat.note(event)
    }
    const onWarning = (message: string): void => this.warn(message)
    const board = world.isFirst ? new TensorBoardLog(request.config, startStep, onWarning) : undefined
    this.log = new RunLog(folder, board, onWarning, world.rank)
  }

  /** Seconds of all steps so far, of earlier processes too, and the tokens that they computed. */
  get pace(): { readonly trainSeconds: number; readonly tokens: number } {
    return { trainSeconds: this.trainMs / 1000, tokens: this.tokens }
  }

  private noteStep(record: StepRecord): void {
    this.last = record
    this.trainMs += record.stepMs
    this.tokens += record.numTokensProcessed
  }

  /** The last step of the run, of an earlier process too. */
  get lastStep(): StepRecord | undefined {
    return this.last
  }

  async begin(): Promise<void> {
    const { request, folder, plan, startStep, start, data, tasks } = this.parts
    folder.writeState('running', startStep, plan.totalSteps)
    this.log.event(recordProvenance(this.parts))
    for (const message of data.warnings) this.alert('DATA', message)
    this.tellPreparation()
    request.onLine(describeTraining(this.parts))
    const overlap = data.anchorOverlap && describeAnchorOverlap(data.anchorOverlap)
    if (overlap !== undefined && start?.isOwn !== true) this.alert('ANCHOR_OVERLAP', overlap)
    const ofTasks = tasks?.trainingOverlap && describeTaskOverlap(tasks.trainingOverlap)
    if (ofTasks !== undefined && start?.isOwn !== true) this.alert('TASK_OVERLAP', ofTasks)
    if (start) request.onLine(`goes on from step ${startStep} (${start.folder})`)
    if (start?.isOwn === true) this.tellMissing()
  }

  /** What the preparation took, and what it left of the data. */
  private tellPreparation(): void {
    const { prepared, data, startStep, request } = this.parts
    if (prepared === undefined || prepared.key === '') return
    const { key, seconds, flops, isCached, artefact } = prepared
    const { train, pool } = data
    const figures = { ...artefact.figures, samples: train.numSamples, samplesOfPool: pool.numSamples }
    const base = { type: 'prepared', step: startStep, time: Date.now() / 1000 } as const
    this.log.event({ ...base, key, seconds, flops, isCached, figures })
    if (train.numSamples === pool.numSamples) return
    request.onLine(describeKept(train, pool))
  }

  whileScoring({ done, total }: PoolProgress): void {
    if (performance.now() - this.lastLine < LINE_MS) return
    this.lastLine = performance.now()
    const numbers = [done, total].map((n) => n.toLocaleString('en'))
    this.parts.request.onLine(`scoring the training data for the next draw: ${numbers.join(' of ')} samples`)
  }

  afterStep({ record, events }: StepResult): void {
    const { step } = record
    this.lastLine = performance.now()
    this.noteStep(record)
    this.recordStep(record, events)
    const flat = this.flat.note(record)
    if (flat !== undefined) this.alert('NO_GRADIENT', flat)
    if (record.skipped) {
      const message = `step ${step}: the optimiser did not move (loss ${record.lossWeighted}, gradient norm ${record.gradNorm})`
      this.alert('STEP_SKIPPED', message)
    }
    this.parts.request.onStep(record, this.parts.plan.totalSteps)
  }

  private recordStep(record: StepRecord, { method, totals }: StepResult['events']): void {
    const { step, time } = record
    const tell = (isBefore: boolean) => {
      for (const event of method) if (event.step < step === isBefore) this.log.event(methodEvent(event, time))
    }
    tell(true)
    this.log.samples(step, totals.samples)
    this.log.event(record)
    tell(false)
  }

  /** What the log and the ledger lack of the steps so far: each gap once. */
  tellMissing(): void {
    if (!this.parts.world.isFirst) return
    const missing = this.log.missing(this.parts.built.trainer.step)
    for (const message of missing.filter((one) => !this.toldMissing.has(one))) {
      this.toldMissing.add(message)
      this.alert('RECORDS_MISSING', message)
    }
  }

  /** A warning in the log and on a line. */
  alert(code: string, message: string): void {
    this.note({ severity: 'warning', code, message })
  }

  /** Something a person should know, in the log and on a line. */
  note({ severity, code, message }: RunNote): void {
    const { step } = this.parts.built.trainer
    this.log.event({ type: 'alert', step, time: Date.now() / 1000, severity, code, message, values: {} })
    if (severity === 'warning') this.warn(message)
    else this.parts.request.onLine(message)
  }

  private warn(message: string): void {
    this.parts.request.onLine(`warning: ${message}`)
  }

  [Symbol.dispose](): void {
    this.log.close()
  }
}
