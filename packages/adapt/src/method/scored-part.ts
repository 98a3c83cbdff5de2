import { type Batch, createStream, excerptSamples } from '../batch/index.js'
import type { Needs, RunFacts, StepTools } from './contract.js'

/** Tells this draw apart from others with the same seed. */
const STREAM = 41

/** What of a batch is scored: of samples longer than `needs.window` tokens a part, drawn anew in every step by seed, step and sample. */
export function scoredPart(
  batch: Batch,
  { window }: Needs,
  { seed, step }: Pick<RunFacts & StepTools, 'seed' | 'step'>,
): Batch {
  if (window === undefined) return batch
  return excerptSamples(batch, window, ({ index }, starts) => {
    const next = createStream([seed, STREAM, step, index])
    return starts[next() % starts.length]!
  })
}
