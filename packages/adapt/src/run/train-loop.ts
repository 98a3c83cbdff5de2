import { region } from '@adapt-ts/torch'
import { type RunObserver, type RunParts, stopsEarly } from './run-parts.js'

/** Draws, steps and tells, until the last step or until the run is to end before it. The same on every rank. */
export async function trainLoop(parts: RunParts, observers: readonly RunObserver[]): Promise<void> {
  const { built, plan, queue, stop } = parts
  const { trainer } = built
  const isOver = () => stopsEarly(parts) || observers.some((observer) => observer.isOver === true)
  const nextBatches = () => (trainer.step + 1 < plan.totalSteps ? queue.drawAhead(trainer.step + 1) : [])
  stop.settle()
  for (const observer of observers) await observer.begin?.()
  while (trainer.step < plan.totalSteps && !isOver()) {
    for (const observer of observers) observer.beforeStep?.()
    if (!(await prepareDraw(parts, observers, isOver))) break
    const { batches, epoch } = region('reading', () => drawOrTell(parts, observers))
    const step = trainer.runStep(batches, epoch, nextBatches)
    if (trainer.step === parts.startStep + 1) performance.mark('adapt:first-step')
    region('records', () => {
      for (const observer of observers) observer.afterStep?.(step)
    })
    // Timers and the log get their turn between two steps.
    await new Promise(setImmediate)
    stop.settle()
    for (const observer of observers) await observer.betweenSteps?.()
  }
}

/** @returns Whether all was scored: its step follows then, whoever asks for the stop, or what is saved would be scored and charged again. */
async function prepareDraw(
  { built: { trainer } }: RunParts,
  observers: readonly RunObserver[],
  isOver: () => boolean,
): Promise<boolean> {
  for (const progress of trainer.prepareDraw()) {
    for (const observer of observers) observer.whileScoring?.(progress)
    await new Promise(setImmediate)
    if (isOver()) return false
  }
  return true
}

function drawOrTell({ queue }: RunParts, observers: readonly RunObserver[]) {
  const place = queue.cursor
  try {
    return queue.next()
  } catch (error) {
    for (const observer of observers) observer.beforeFailure?.(place)
    throw error
  }
}
