import type { CrossFieldIssue } from './config-issue.js'
import type { RunConfig } from './run-config.js'

/** Whether evaluations are compared: to publish the best model, or to stop when there is no better one. */
function comparesEvaluations({ training }: RunConfig): boolean {
  return training.load_best_model_at_end || training.early_stopping_patience !== undefined
}

/** Checks that there will be evaluations to compare, and that they have the figure that is asked for. */
export function validateBestModel(config: RunConfig): CrossFieldIssue[] {
  if (!comparesEvaluations(config)) return []
  const { training, evaluation, data } = config
  const key = training.load_best_model_at_end ? 'load_best_model_at_end' : 'early_stopping_patience'
  const hasSets = evaluation.sets.length > 0
  const hasHeldOut = data.val_set_size !== undefined
  const { metric_for_best_model: metric } = training
  const ofTasks = metric?.startsWith('tasks/') === true
  const cadence = (ofTasks ? evaluation.task_options.every_steps : undefined) ?? evaluation.every_steps
  if (cadence === undefined || !(ofTasks ? evaluation.tasks.length > 0 : hasSets || hasHeldOut)) {
    const needed = ofTasks ? 'evaluation.tasks' : 'data.val_set_size or evaluation.sets'
    const message =
      `expected evaluations to compare: set evaluation.every_steps, and ${needed}, received ` +
      (cadence === undefined ? 'no every_steps' : ofTasks ? 'no tasks' : 'neither of them')
    return [{ path: ['training', key], message }]
  }
  // Which tasks and metrics there are stands in their files.
  if (ofTasks) return []
  const problem = metricProblem(metric ?? 'eval_loss', { hasSets, hasHeldOut, setNames: namesOf(config) })
  if (problem === undefined) return []
  const message = metric === undefined ? `${problem}, the default` : problem
  return [{ path: ['training', 'metric_for_best_model'], message }]
}

interface Measured {
  readonly hasSets: boolean
  readonly hasHeldOut: boolean
  /** Undefined where records may name their sets. */
  readonly setNames: readonly string[] | undefined
}

function metricProblem(metric: string, { hasSets, hasHeldOut, setNames }: Measured): string | undefined {
  const name = metric.startsWith('eval_') ? metric : `eval_${metric}`
  const sets = setNames?.map((set) => `eval_${set}_bits_per_byte`) ?? ['eval_<set>_bits_per_byte']
  const known = [
    ...(hasHeldOut ? ['eval_loss', 'eval_<source>_loss'] : []),
    ...(hasSets ? ['eval_bits_per_byte', ...sets] : []),
  ]
  const isLoss = /^eval_(.+_)?loss$/.test(name)
  const isBits = /^eval_(.+_)?bits_per_byte$/.test(name)
  const isKnownSet = name === 'eval_bits_per_byte' || setNames === undefined || sets.includes(name)
  if (isLoss ? hasHeldOut : isBits && hasSets && isKnownSet) return undefined
  const hint = isLoss ? ' (a loss needs data.val_set_size)' : ''
  return `expected one of ${known.join(', ')}${hint}, received "${metric}"`
}

function namesOf({ evaluation }: RunConfig): readonly string[] | undefined {
  const names = evaluation.sets.map(
    (set: { readonly name?: string; readonly source?: string }) => set.name ?? set.source,
  )
  return names.every((name) => name !== undefined) ? names : undefined
}

/** Keys of the comparison that say nothing without it. */
export function bestModelWarnings(config: RunConfig): readonly string[] {
  const { training } = config
  const warnings: string[] = []
  if (training.metric_for_best_model !== undefined && !comparesEvaluations(config)) {
    warnings.push(
      'training.metric_for_best_model: no effect without load_best_model_at_end or early_stopping_patience',
    )
  }
  if (training.early_stopping_threshold > 0 && training.early_stopping_patience === undefined)
    warnings.push('training.early_stopping_threshold: no effect without early_stopping_patience')
  return warnings
}
