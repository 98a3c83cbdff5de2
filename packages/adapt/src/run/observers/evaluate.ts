import { AdaptError } from '../../errors.js'
import { evaluationRemedies, explainMemory } from '../../open/index.js'
import type { EvaluationEvent } from '../../record/index.js'
import type { BestModel } from '../best-model.js'
import { describeMeasures, measureRun, type RunMeasures, unmeasuredSources } from '../measure-run.js'
import { type RunObserver, type RunParts, stopsEarly } from '../run-parts.js'
import type { Recorder } from './record.js'
import type { Saver } from './save.js'

/** Evaluates the model where the config asks for it: of which steps there are evaluations, what the last one found. */
export class Evaluator implements RunObserver {
  private readonly steps = new Set<number>()
  private found: RunMeasures | undefined
  private foundStep: number | undefined

  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Recorder,
    private readonly saver: Saver,
    private readonly best: BestModel,
  ) {
    for (const event of recorder.evaluations) {
      this.steps.add(event.step)
      best.note(event)
    }
  }

  /** Whether patience with the evaluations is over. */
  get isOver(): boolean {
    return this.best.isOver
  }

  /** Of this process; undefined before its first. */
  get latest(): RunMeasures | undefined {
    return this.found
  }

  /** Its step. */
  get latestStep(): number | undefined {
    return this.foundStep
  }

  /** A run that was stopped between a save and the evaluation after it catches up. */
  begin(): Promise<void> {
    return this.betweenSteps()
  }

  /** Evaluates between two steps where the config asks for it and no evaluation of this step is there. */
  async betweenSteps(): Promise<void> {
    const { every_steps } = this.parts.request.config.evaluation
    const { step } = this.parts.built.trainer
    if (every_steps === undefined || step % every_steps !== 0) return
    if (step >= this.parts.plan.totalSteps || stopsEarly(this.parts)) return
    if (!this.steps.has(step)) await this.evaluate()
    if (this.best.best?.step === step) this.saver.trySave()
  }

  /** Evaluates the model as it is, where there is something to evaluate on. A failure is side work: it is told and remembered. */
  async evaluate(): Promise<void> {
    await this.recorder.side.attempt('evaluation', () => this.measureAndRecord())
  }

  private async measureAndRecord(): Promise<void> {
    const { data, folder, request } = this.parts
    if (data.evaluationFiles.length === 0 && data.validation === undefined) return
    const { step } = this.parts.built.trainer
    const measures = await this.measure(step)
    if (measures === undefined) return
    const { evaluation, validation } = measures
    const event: EvaluationEvent = {
      type: 'evaluation',
      step,
      time: Date.now() / 1000,
      sources: evaluation?.sources ?? {},
      ...(validation ? { validation: { eval_loss: validation.eval_loss, sources: validation.sources } } : {}),
    }
    this.recorder.log.event(event)
    this.best.note(event)
    for (const line of describeMeasures(measures)) request.onLine(`step ${step}: ${line}`)
    folder.write(
      `eval/step-${step}.json`,
      `${JSON.stringify({ ...evaluation, ...(validation ? { validation } : {}) }, null, 2)}\n`,
    )
  }

  /** Undefined when the run was asked to stop meanwhile: there is little time to save, and a run that goes on makes it up. */
  private async measure(step: number): Promise<RunMeasures | undefined> {
    try {
      const measures = await measureRun(this.parts)
      // Once: the data of an evaluation is the same each time.
      const isFirst = this.found === undefined
      this.found = measures
      this.foundStep = step
      this.steps.add(step)
      for (const message of isFirst ? unmeasuredSources(measures) : [])
        this.recorder.alert('NOTHING_TO_MEASURE', message)
      return measures
    } catch (thrown) {
      const { built, request } = this.parts
      const error = explainMemory(
        thrown,
        'rows of an evaluation',
        built.trainer.model.device,
        evaluationRemedies(request.config),
      )
      if (error instanceof AdaptError && error.code === 'EVALUATION_CANCELLED') return undefined
      const message = `evaluation after step ${step}: ${(error as Error).message}`
      if (!(error instanceof AdaptError)) throw new Error(message, { cause: error })
      throw new AdaptError(error.code, error.exitCode, message, error.context, { cause: error })
    }
  }
}
