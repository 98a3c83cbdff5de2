import type { RunConfig } from '../config/index.js'
import {
  type EvaluationEvent,
  type SourceEvaluation,
  type TasksEvent,
  taskFigureName,
} from '../record/index.js'
import type { ExpectedFigure } from '../tasks/index.js'

/** The evaluation that was the best so far. */
export interface BestEvaluation {
  readonly step: number
  readonly metric: string
  readonly value: number
}

/**
 * Which evaluation of a run was the best, and whether patience with it is over; as `load_best_model_at_end` and the
 * `EarlyStoppingCallback` of transformers count. A function of the evaluations in the event log, so that a run that goes on knows what it
 * knew.
 */
export class BestModel {
  /** What is compared; undefined where the config asks for no comparison. */
  readonly metric: string | undefined
  /** Whether the best model is the one to publish. */
  readonly isPublished: boolean
  private readonly sign: 1 | -1
  private readonly patience: number
  private readonly threshold: number
  private readonly seen = new Set<number>()
  private found: BestEvaluation | undefined
  private numWithout = 0

  /** @param ofTasks  Figures that tasks will give: they know whether more is better. */
  constructor({ training }: Pick<RunConfig, 'training'>, ofTasks: readonly ExpectedFigure[] = []) {
    const { load_best_model_at_end, early_stopping_patience } = training
    const isWanted = load_best_model_at_end || early_stopping_patience !== undefined
    this.metric = isWanted ? metricName(training.metric_for_best_model) : undefined
    this.isPublished = load_best_model_at_end
    const figure = ofTasks.find((one) => taskFigureName(one) === this.metric)
    this.sign = (training.greater_is_better ?? figure?.higherIsBetter ?? false) ? -1 : 1
    this.patience = early_stopping_patience ?? Infinity
    this.threshold = training.early_stopping_threshold
  }

  get best(): BestEvaluation | undefined {
    return this.found
  }

  /** Whether `early_stopping_patience` evaluations in a row were no better. */
  get isOver(): boolean {
    return this.numWithout >= this.patience
  }

  /** Takes an evaluation in; one of a step that is known already changes nothing. */
  note(event: EvaluationEvent | TasksEvent): void {
    if (this.metric === undefined || this.seen.has(event.step)) return
    const value = metricsOf(event).get(this.metric)
    if (value === undefined) return
    this.seen.add(event.step)
    const before = this.found?.value ?? this.sign * Infinity
    // What is no number is never the best, but an evaluation without progress.
    const gain = Number.isFinite(value) ? this.sign * (before - value) : 0
    if (gain > 0) this.found = { step: event.step, metric: this.metric, value }
    this.numWithout = gain > this.threshold ? 0 : this.numWithout + 1
  }

  /** The best evaluation in words; undefined without one. */
  describe(): string | undefined {
    if (this.found === undefined) return undefined
    const { step, metric, value } = this.found
    const [extreme, count] = [this.sign === 1 ? 'lowest' : 'highest', this.seen.size]
    return `best model: step ${step}, ${metric} ${value.toFixed(4)}, the ${extreme} of ${count} evaluation${count === 1 ? '' : 's'}`
  }
}

/** `loss` is short for `eval_loss`, as in transformers. */
function metricName(name = 'eval_loss'): string {
  return /^(eval_|tasks\/)/.test(name) ? name : `eval_${name}`
}

/**
 * The figures of an evaluation by the names that `metric_for_best_model` takes: `eval_loss` and `eval_<source>_loss` of what
 * `data.val_set_size` held out, `eval_bits_per_byte` and `eval_<set>_bits_per_byte` of `evaluation.sets`, `tasks/<task>/<metric>` of
 * `evaluation.tasks`. NaN where nothing was measured.
 */
export function metricsOf(
  event: Pick<EvaluationEvent, 'sources' | 'validation'> | Pick<TasksEvent, 'figures'>,
): ReadonlyMap<string, number> {
  if ('figures' in event) return new Map(event.figures.map((one) => [taskFigureName(one), one.value]))
  const { sources, validation } = event
  const found = new Map<string, number>()
  if (validation) {
    found.set('eval_loss', validation.eval_loss ?? Number.NaN)
    for (const [name, { nats_per_token }] of Object.entries(validation.sources))
      found.set(`eval_${name}_loss`, nats_per_token ?? Number.NaN)
  }
  const sets = Object.entries(sources)
  if (sets.length > 0) found.set('eval_bits_per_byte', bitsPerByte(Object.values(sources)))
  for (const [name, { bits_per_byte }] of sets)
    found.set(`eval_${name}_bits_per_byte`, bits_per_byte ?? Number.NaN)
  return found
}

/** Over all sets together: all bits / all bytes. */
function bitsPerByte(sets: readonly SourceEvaluation[]): number {
  const measured = sets.filter(({ bits_per_byte }) => bits_per_byte !== null)
  const sum = (of: (set: SourceEvaluation) => number) => measured.reduce((total, set) => total + of(set), 0)
  return sum(({ bits_per_byte, bytes }) => bits_per_byte! * bytes) / sum(({ bytes }) => bytes)
}
