import { type Batch, layOutRows } from '../batch/index.js'
import { runLayout } from './run-layout.js'
import { type RunObserver, type RunParts, stopsEarly } from './run-parts.js'

/** Draws, steps and tells, until the last step or until the run is to end before it. The same on every rank. */
export async function trainLoop(parts: RunParts, observers: readonly RunObserver[]): Promise<void> {
  const { built, plan } = parts
  const { trainer } = built
  const isOver = () => stopsEarly(parts) || observers.some((observer) => observer.isOver === true)
  for (const observer of observers) await observer.begin?.()
  while (trainer.step < plan.totalSteps && !isOver()) {
    const { batches, epoch } = drawOrTell(parts, observers)
    const step = trainer.runStep(batches, epoch)
    for (const observer of observers) observer.afterStep?.(step)
    // Timers and the log get their turn between two steps.
    await new Promise(setImmediate)
    for (const observer of observers) await observer.betweenSteps?.()
  }
}

function drawOrTell(parts: RunParts, observers: readonly RunObserver[]) {
  const place = parts.rows.cursor
  try {
    return drawStep(parts)
  } catch (error) {
    for (const observer of observers) observer.beforeFailure?.(place)
    throw error
  }
}

/** This rank's micro-batches of the next step, and its epoch. */
export function drawStep({
  rows,
  data,
  plan,
  world,
  built,
  request,
}: Pick<RunParts, 'rows' | 'data' | 'plan' | 'world' | 'built'> & {
  readonly request: Pick<RunParts['request'], 'config'>
}): {
  readonly batches: readonly Batch[]
  readonly epoch: number
} {
  const step = rows.next(plan.drawnRows, { multipleOf: plan.batchRows, shares: built.method.shares() })
  return { batches: layOutRows(step.rows, runLayout(request.config, data, world)), epoch: step.epoch }
}
