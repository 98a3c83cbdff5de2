import { isDeepStrictEqual } from 'node:util'
import type { RowStream } from '../batch/index.js'
import type { RunConfig, StepPlan } from '../config/index.js'
import { ConfigError } from '../errors.js'
import type { StartPoint } from './start-point.js'

/**
 * Refuses a checkpoint of an older version whose steps were cut otherwise than this one's: with `max_steps` a step could
 * take rows of two epochs, and `dataloader_drop_last` dropped a whole short step. Where it made no difference so far, the run goes on.
 *
 * @param rows  The order of the data from its start.
 * @throws {ConfigError} STEPS_CHANGED.
 */
export function requireSameSteps(
  start: StartPoint,
  rows: RowStream,
  plan: StepPlan,
  config: RunConfig,
): void {
  const { state, folder, isOwn } = start
  if (state.schema_version !== 1) return
  const { max_steps, dataloader_drop_last } = config.training
  // Within the first epoch all steps were whole; but the schedule of a run that drops may have been shorter.
  const samePlace =
    state.cursor.epoch === 0 || isDeepStrictEqual(placeAfter(state.step, rows, plan), state.cursor)
  const hasShortStep = plan.rowsPerEpoch % plan.globalRows !== 0
  const sameLength = !isOwn || max_steps !== undefined || !dataloader_drop_last || !hasShortStep
  if (samePlace && sameLength) return
  throw new ConfigError(
    'STEPS_CHANGED',
    `checkpoint ${folder} is of an older version, which cut the steps at the end of an epoch otherwise (rows of two epochs in a step, or a short step dropped): ` +
      'finish it with that version, or start over with --overwrite',
    { folder },
  )
}

function placeAfter(steps: number, rows: RowStream, plan: StepPlan): RowStream['cursor'] {
  for (let step = 0; step < steps; step++) rows.next(plan.globalRows, { multipleOf: plan.batchRows })
  return rows.cursor
}
