import { type RunConfig, rowsPerStep } from '../config/index.js'
import { ConfigError } from '../errors.js'
import type { StartPoint } from '../run-folder/index.js'

/**
 * The config with as many micro-batches a step as give the rows that the steps of a checkpoint had: a run that goes on with another number of
 * ranks keeps its global batch, and with it the course of training. So does one that is told its rows.
 *
 * @throws {ConfigError} BATCH_CHANGED when no whole number of micro-batches does.
 */
export function holdBatch(
  config: RunConfig,
  start: StartPoint | undefined,
  worldSize: number,
  rowsOfStep?: number,
): { readonly config: RunConfig; readonly line?: string } {
  const before = start?.state.world_size ?? 1
  const rows = rowsOfStep ?? (before === worldSize ? undefined : start?.state.global_rows)
  if (rows === undefined || rows === rowsPerStep(config, worldSize)) return { config }
  const { per_device_train_batch_size: perDevice } = config.training
  const accumulation = rows / (perDevice * worldSize)
  if (!Number.isInteger(accumulation)) {
    const step = start ? `a step of the checkpoint ${start.folder}` : 'a step'
    throw new ConfigError(
      'BATCH_CHANGED',
      `training: ${step} has ${rows} rows (${before} ranks), which ${worldSize} ranks with per_device_train_batch_size ${perDevice} cannot make: ` +
        `${rows} / (${worldSize} x ${perDevice}) = ${accumulation.toFixed(2)} micro-batches; choose a number of ranks or a per_device_train_batch_size that divides it`,
      { rows, worldSize, perDevice },
    )
  }
  return {
    config: { ...config, training: { ...config.training, gradient_accumulation_steps: accumulation } },
    ...(start && before !== worldSize
      ? {
          line: `${before} -> ${worldSize} ranks: ${accumulation} micro-batches of ${perDevice} rows a rank keep the ${rows} rows of a step`,
        }
      : {}),
  }
}
