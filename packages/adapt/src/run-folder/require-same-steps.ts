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
  if (state.schema_version !== 1 || state.cursor.kind !== 'order') return
  // Within the first epoch all steps were whole; but the schedule may have been of another length.
  const samePlace =
    state.cursor.epoch === 0 || isDeepStrictEqual(placeAfter(state.step, rows, plan), state.cursor)
  if (samePlace && (!isOwn || olderLength(rows.numRowsPerEpoch(0), plan, config) === plan.totalSteps)) return
  throw new ConfigError(
    'STEPS_CHANGED',
    `checkpoint ${folder} is of an older version, which cut the steps at the end of an epoch otherwise: ` +
      'finish it with that version, or start over with --overwrite',
    { folder },
  )
}

/** Steps of the whole run as older versions counted them: every epoch like the first. */
function olderLength(numRows: number, { globalRows }: StepPlan, { training }: RunConfig): number {
  const { max_steps, num_train_epochs = 1, dataloader_drop_last } = training
  const stepsPerEpoch = (dataloader_drop_last ? Math.floor : Math.ceil)(numRows / globalRows)
  return max_steps ?? Math.max(1, Math.ceil(num_train_epochs * stepsPerEpoch))
}

function placeAfter(steps: number, rows: RowStream, plan: StepPlan): RowStream['cursor'] {
  for (let step = 0; step < steps; step++) rows.next(plan.globalRows, { multipleOf: plan.batchRows })
  return rows.cursor
}
