import { readDocuments } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { RunInputs } from '../open/index.js'
import { taskFigureName } from '../record/index.js'
import type { ExpectedFigure } from '../tasks/index.js'
import { type BestModel, metricsOf } from './best-model.js'

const NOTHING = { bits_per_byte: null, nats_per_token: null, bytes: 0, tokens: 0, documents: 0 } as const

/**
 * Finds out before the first step that no evaluation of the run will give the figure its best model is chosen by.
 * @throws {ConfigError} METRIC_NOT_FOUND with the names that there will be.
 */
export async function requireMetric(
  { metric }: BestModel,
  { evaluationFiles, validation }: Pick<RunInputs, 'evaluationFiles' | 'validation'>,
  taskFigures: readonly ExpectedFigure[] = [],
): Promise<void> {
  if (metric === undefined) return
  const names = new Set<string>()
  for (const { source } of evaluationFiles) if (source !== undefined) names.add(source)
  // Other names stand in the records.
  const unnamed = evaluationFiles.filter(({ source }) => source === undefined)
  if (unnamed.length > 0) for await (const { source } of readDocuments(unnamed)) names.add(source)
  const figures = (sources: Iterable<string>) =>
    Object.fromEntries(Array.from(sources, (name) => [name, NOTHING]))
  const known = metricsOf({
    sources: figures(names),
    ...(validation ? { validation: { eval_loss: null, sources: figures(validation.sources) } } : {}),
  })
  const all = [...known.keys(), ...taskFigures.map(taskFigureName)]
  if (all.includes(metric)) return
  throw new ConfigError(
    'METRIC_NOT_FOUND',
    `training.metric_for_best_model: no evaluation of this run gives ${metric}; there will be ${all.join(', ') || 'none'}`,
    { metric },
  )
}
