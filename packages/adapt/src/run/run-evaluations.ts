import { AdaptError } from '../errors.js'
import type { EvaluationEvent } from '../record/index.js'
import type { RunLog } from '../run-folder/index.js'
import type { BestModel } from './best-model.js'
import { describeMeasures, measureRun, type RunMeasures, unmeasuredSources } from './measure-run.js'
import type { TrainingRunParts } from './training-run.js'

/** Who is told of evaluations. */
export interface EvaluationListeners {
  readonly log: Pick<RunLog, 'event'>
  readonly best: BestModel
  readonly alert: (step: number, code: string, message: string) => void
}

/** The evaluations of a run: of which steps there are some, what the last one found, and what is recorded of each. */
export class RunEvaluations {
  private readonly steps = new Set<number>()
  private found: RunMeasures | undefined

  constructor(
    private readonly parts: TrainingRunParts,
    private readonly listeners: EvaluationListeners,
  ) {}

  /** Whether an evaluation after this step is there. */
  has(step: number): boolean {
    return this.steps.has(step)
  }

  /** Of this process; undefined before its first. */
  get latest(): RunMeasures | undefined {
    return this.found
  }

  /** Takes in an evaluation that the log holds from before. */
  restore(event: EvaluationEvent): void {
    this.steps.add(event.step)
    this.listeners.best.note(event)
  }

  /** Evaluates the model as it is, where there is something to evaluate on. */
  async evaluate(): Promise<void> {
    const { data, folder, request } = this.parts
    if (data.evaluationFiles.length === 0 && data.validation === undefined) return
    const { step } = this.parts.built.trainer
    const measures = await this.measure(step)
    if (measures === undefined) return
    const { evaluation, validation } = measures
    const event = {
      type: 'evaluation',
      step,
      time: Date.now() / 1000,
      sources: evaluation?.sources ?? {},
      ...(validation ? { validation: { eval_loss: validation.eval_loss, sources: validation.sources } } : {}),
    } as const
    this.listeners.log.event(event)
    this.listeners.best.note(event)
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
      this.steps.add(step)
      for (const message of isFirst ? unmeasuredSources(measures) : [])
        this.listeners.alert(step, 'NOTHING_TO_MEASURE', message)
      return measures
    } catch (error) {
      if (error instanceof AdaptError && error.code === 'EVALUATION_CANCELLED') return undefined
      const message = `evaluation after step ${step}: ${(error as Error).message}`
      if (!(error instanceof AdaptError)) throw new Error(message, { cause: error })
      throw new AdaptError(error.code, error.exitCode, message, error.context, { cause: error })
    }
  }
}
