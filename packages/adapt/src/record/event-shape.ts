import { NUMERIC_PATHS, type RunEvent } from './run-event.js'

/** Fields that every event of a kind has, beside `step` and `time`. Fields that came later are not among them. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  'run-start': ['name', 'config', 'versions'],
  step: [
    ...['epoch', 'lossWeighted', 'lossUnweighted', 'gradNorm', 'learningRate', 'numSamples', 'numTokens'],
    ...['numTokensProcessed', 'weightMean', 'essRatio', 'weightQuantiles', 'scoreMean', 'scoreStd'],
    ...['weightMeanBySource', 'massBySource', 'tokensPerSecond', 'stepMs', 'signalMs'],
    ...['flopsTrain', 'flopsSignal', 'skipped'],
  ],
  refresh: ['reason', 'numAnchors', 'refreshMs', 'flops', 'diagnostics'],
  evaluation: ['sources'],
  tasks: ['seconds', 'maxLength', 'figures'],
  calibration: ['mu', 'tau', 'targetEdr', 'targetEss', 'edr', 'essRatio', 'numScores', 'reached'],
  policy: ['shares'],
  ranks: ['workMs', 'waitMs'],
  prepared: ['key', 'seconds', 'flops', 'isCached', 'figures'],
  alert: ['severity', 'code', 'message', 'values'],
  'run-end': ['status', 'exitCode', 'summary'],
}
const TEXTS = ['key', 'name', 'reason', 'severity', 'code', 'message', 'status']
/** At 0, 5, 25, 50, 75, 95 and 100 %. */
const QUANTILES = ['weightQuantiles', 'scoreQuantiles']
const NUM_QUANTILES = 7
const FLAGS = ['skipped', 'reached', 'isCached']
/** Steps counted in more than 15 digits would not be told apart. */
const MAX_STEP = 1e15

/**
 * What is wrong with an event whose CRC is right: someone else wrote it, or another version. Undefined for one that holds
 * what its kind has. Kinds that are not known pass.
 */
export function eventProblem(event: RunEvent): string | undefined {
  const fields = event as unknown as Readonly<Record<string, unknown>>
  const { step, time } = fields
  if (!(Number.isSafeInteger(step) && (step as number) >= 0 && (step as number) < MAX_STEP))
    return `step: expected a count, received ${shown(step)}`
  if (typeof time !== 'number') return `time: expected seconds, received ${shown(time)}`
  for (const name of REQUIRED[event.type] ?? []) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (value === undefined) return `${name} is missing`
    const expected = TEXTS.includes(name) ? 'string' : FLAGS.includes(name) ? 'boolean' : undefined
    if (expected !== undefined && typeof value !== expected)
      return `${name}: expected a ${expected}, received ${shown(value)}`
  }
  for (const name of QUANTILES) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (value !== undefined && !(Array.isArray(value) && value.length === NUM_QUANTILES))
      return `${name}: expected ${NUM_QUANTILES} numbers, received ${shown(value)}`
  }
  for (const path of NUMERIC_PATHS[event.type] ?? []) {
    const problem = numberProblem(fields, path.split('.'), {
      path,
      orNull: event.type === 'evaluation' || path === 'figures.*.error',
    })
    if (problem !== undefined) return problem
  }
  return event.type === 'tasks' ? figuresProblem(fields.figures) : undefined
}

const FIGURE_FIELDS = {
  ...{ task: 'string', kind: 'string', alias: 'string', documents: 'number', metric: 'string' },
  ...{ filter: 'string', value: 'number', higherIsBetter: 'boolean' },
}

function figuresProblem(figures: unknown): string | undefined {
  if (!Array.isArray(figures)) return `figures: expected a list, received ${shown(figures)}`
  for (const figure of figures as readonly Readonly<Record<string, unknown>>[]) {
    for (const [name, type] of Object.entries(FIGURE_FIELDS)) {
      const value = Object.hasOwn(figure, name) ? figure[name] : undefined
      if (typeof value !== type) return `figures.*.${name}: expected a ${type}, received ${shown(value)}`
    }
    const { anchored } = figure
    if (anchored !== undefined && typeof anchored !== 'boolean')
      return `figures.*.anchored: expected a boolean, received ${shown(anchored)}`
  }
  return undefined
}

/** @param where.orNull  Null counts too: the figures of a source in which nothing is predicted, an error that is not known. */
function numberProblem(
  container: unknown,
  [head, ...rest]: string[],
  where: { readonly path: string; readonly orNull: boolean },
): string | undefined {
  const { path, orNull } = where
  if (head === undefined)
    return typeof container === 'number' || (orNull && container === null)
      ? undefined
      : `${path}: expected a number, received ${shown(container)}`
  if (typeof container !== 'object' || container === null)
    return `${path}: expected several values, received ${shown(container)}`
  const values = container as Readonly<Record<string, unknown>>
  for (const key of head === '*' ? Object.keys(values) : Object.hasOwn(values, head) ? [head] : []) {
    const problem = numberProblem(values[key], rest, where)
    if (problem !== undefined) return problem
  }
  return undefined
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 40)
