import { rmSync } from 'node:fs'
import { AdaptError } from '../../errors.js'
import {
  evaluationRemedies,
  explainMemory,
  headOf,
  passLimits,
  type RunTasks,
  writeTaskResults,
} from '../../open/index.js'
import type { TasksEvent } from '../../record/index.js'
import {
  answerCalls,
  endCalls,
  evaluateTasks,
  positionsOfTasks,
  ResponseStore,
  resultsJson,
  taskFigures,
} from '../../tasks/index.js'
import type { BestModel } from '../best-model.js'
import { describeFigures } from '../describe-figures.js'
import { lendWeights } from '../lend-weights.js'
import { type RunObserver, type RunParts, stopsEarly } from '../run-parts.js'
import { TimeShare, type TooLong } from '../time-share.js'
import { weightsKey } from '../weights-key.js'
import type { Recorder } from './record.js'
import type { Saver } from './save.js'

const BOOTSTRAP_ITERATIONS = 100_000

/** Asks the model the tasks of a run where the config wants it, as `adapt eval` does, within a share of the time. */
export class TaskEvaluator implements RunObserver {
  /** Steps for which it is settled: asked, or left out. */
  private readonly steps = new Set<number>()
  private readonly share: TimeShare
  private readonly everySteps: number | undefined
  private last: TasksEvent | undefined
  private isLeavingOut = false

  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Recorder,
    private readonly saver: Saver,
    private readonly best: BestModel,
  ) {
    const { evaluation } = parts.request.config
    const { every_steps: own, max_time_share } = evaluation.task_options
    const every = own ?? evaluation.every_steps
    this.everySteps = every !== undefined && every < 1 ? Math.ceil(every * parts.plan.totalSteps) : every
    this.share = new TimeShare(max_time_share, parts.plan.totalSteps)
    for (const event of recorder.taskEvents) {
      this.steps.add(event.step)
      if (event.type === 'tasks') this.note(event)
    }
  }

  /** Whether patience with the evaluations is over. */
  get isOver(): boolean {
    return this.best.isOver
  }

  /** The newest evaluation of the run, of an earlier process too. */
  get latest(): TasksEvent | undefined {
    return this.last
  }

  /** A run that was stopped between a save and the tasks after it catches up. */
  begin(): Promise<void> {
    return this.betweenSteps()
  }

  /** Asks between two steps where it is due and there is time. */
  async betweenSteps(): Promise<void> {
    const { built, plan } = this.parts
    const { step } = built.trainer
    if (this.everySteps === undefined || step % this.everySteps !== 0) return
    if (step >= plan.totalSteps || stopsEarly(this.parts)) return
    if (!this.steps.has(step)) await this.onFirst(() => this.evaluateInTime(step))
    if (this.best.best?.step === step) this.saver.trySave()
  }

  /** The last evaluation, of the model as it is: always made, unless it stands already. */
  async finish(): Promise<void> {
    const { step } = this.parts.built.trainer
    if (this.last?.step !== step) await this.onFirst(() => this.evaluate())
    const { max_time_share: share } = this.parts.request.config.evaluation.task_options
    const taken = this.share.taken(this.recorder.pace.trainSeconds)
    if (share === undefined || taken <= share || this.parts.stop.requested) return
    const message = `tasks took ${(100 * taken).toFixed(1)} % of the time, more than max_time_share: the last evaluation is always made`
    this.recorder.note({ severity: 'info', code: 'TASKS_TIME', message })
  }

  /** Of several ranks the first has the tasks and the time in view; the others help it to ask, and hear what it found. */
  private async onFirst(work: () => Promise<TasksEvent | undefined>): Promise<void> {
    const { world, taskFigures } = this.parts
    if (taskFigures === undefined) return
    if (!world.isFirst) await this.help()
    const event = await world.fromFirst(async () => {
      try {
        return await work()
      } finally {
        await endCalls(world)
      }
    })
    if (event === undefined || world.isFirst) return
    this.steps.add(event.step)
    this.note(event)
  }

  private async help(): Promise<void> {
    const { built, data, request, world } = this.parts
    const { trainer, dtype } = built
    using _weights = lendWeights(trainer, request.config.evaluation.weights)
    await answerCalls(trainer.model, data.tokenizer, world, dtype)
  }

  private async evaluateInTime(step: number): Promise<TasksEvent | undefined> {
    const tooLong = this.share.tooLong({ step, ...this.recorder.pace, guess: this.guess() })
    if (tooLong === undefined) return await this.evaluate()
    this.leaveOut(step, tooLong)
    return undefined
  }

  private async evaluate(): Promise<TasksEvent | undefined> {
    const { tasks } = this.parts
    if (tasks === undefined) return undefined
    // A failure is side work: it is told and remembered.
    return await this.recorder.side.attempt('tasks', () => this.askAndRecord(tasks))
  }

  private async askAndRecord(tasks: RunTasks): Promise<TasksEvent | undefined> {
    const { request, built } = this.parts
    const { step } = built.trainer
    this.isLeavingOut = false
    try {
      const event = await this.ask(tasks, step)
      this.steps.add(step)
      this.recorder.log.event(event)
      this.note(event)
      request.onLine(`step ${step}: ${describeFigures(event)}`)
      return event
    } catch (thrown) {
      const remedies = evaluationRemedies(request.config)
      const error = explainMemory(thrown, 'an evaluation of tasks', built.trainer.model.device, remedies)
      // There is little time to save; what was answered is kept, and a run that goes on makes up the rest.
      if (error instanceof AdaptError && error.code === 'EVALUATION_CANCELLED') return undefined
      const message = `tasks after step ${step}: ${(error as Error).message}`
      if (!(error instanceof AdaptError)) throw new Error(message, { cause: error })
      throw new AdaptError(error.code, error.exitCode, message, error.context, { cause: error })
    }
  }

  private async ask(
    { selection, prepared, settings, anchored, maxLength }: RunTasks,
    step: number,
  ): Promise<TasksEvent> {
    const { request, data, built, stop, plan, folder, world } = this.parts
    const { model } = built.trainer
    using _weights = lendWeights(built.trainer, request.config.evaluation.weights)
    const started = Date.now()
    const output = folder.file(`eval/step-${step}.tasks`)
    const responses = `${output}/responses.jsonl`
    const found = await evaluateTasks(
      model,
      data.tokenizer,
      { selection, prepared },
      {
        maxLength,
        ...passLimits(model, built.dtype),
        autocastDtype: built.dtype,
        addBosToken: settings.addBosToken,
        modelKey: [
          weightsKey(model),
          data.tokenizer.hash,
          model.device,
          built.dtype ?? 'float32',
          maxLength,
        ].join(' '),
        store: new ResponseStore(responses),
        bootstrapIterations: BOOTSTRAP_ITERATIONS,
        isCancelled: () => stop.requested,
        ranks: world,
        onProgress: (name, done, total) =>
          request.onEvaluation?.(done, step, plan.totalSteps, { name, total }),
      },
    )
    const seconds = (Date.now() - started) / 1000
    const evaluation = anchored === undefined ? found : { ...found, anchored }
    const json = resultsJson(evaluation, {
      ...headOf(settings, data.tokenizer),
      model: folder.path,
      modelArgs: { pretrained: folder.path, step },
      numParameters: model.numParameters,
      dtype: built.dtype ?? 'float32',
      device: model.device,
      bootstrapIterations: BOOTSTRAP_ITERATIONS,
      date: started / 1000,
      seconds,
      maxLength,
    })
    writeTaskResults(output, evaluation, json)
    rmSync(responses, { force: true })
    const figures = taskFigures(evaluation)
    return { type: 'tasks', step, time: Date.now() / 1000, seconds, maxLength, figures }
  }

  private note(event: TasksEvent): void {
    this.last = event
    this.share.note(event.seconds)
    this.best.note(event)
  }

  /** Seconds of an evaluation at the pace of training, which does more for each token; undefined before the first step. */
  private guess(): number | undefined {
    const { trainSeconds, tokens } = this.recorder.pace
    const { tasks, built } = this.parts
    if (tasks === undefined || tokens === 0) return undefined
    const { maxPositions } = passLimits(built.trainer.model, built.dtype)
    const positions = positionsOfTasks(tasks.prepared, maxPositions)
    return (positions * trainSeconds) / tokens
  }

  /** An event each time, and a line for the first of several in a row. */
  private leaveOut(step: number, values: TooLong): void {
    this.steps.add(step)
    const { expectedSeconds, share } = values
    const time = expectedSeconds < Infinity ? `${expectedSeconds.toFixed(1)} s` : 'an unknown time'
    const message = `tasks are left out after step ${step}: they would take ${time}, more than ${100 * share} % of the time so far or of the run with the last evaluation (max_time_share)`
    this.recorder.log.event({
      ...{ type: 'alert', step, time: Date.now() / 1000, severity: 'info', code: 'TASKS_SKIPPED', message },
      values: { ...values },
    })
    if (!this.isLeavingOut) this.parts.request.onLine(message)
    this.isLeavingOut = true
  }
}
