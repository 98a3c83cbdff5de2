import { createPermutation } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import type { StepFacts } from '../method/index.js'

/** Tells this draw apart from others with the same seed. */
const STREAM = 29

/**
 * Places of the anchors of a step, counted through their batches: a function of seed and step alone.
 * @throws {ConfigError} NO_ANCHORS without an anchor that has a label.
 */
export function drawAnchors(
  { anchors, seed, step }: Pick<StepFacts, 'anchors' | 'seed' | 'step'>,
  count: number,
): number[] {
  const samples = anchors.flatMap((batch) => batch.samples)
  const places = [...samples.keys()].filter((place) => samples[place]!.numLabels > 0)
  if (places.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: expected at least one anchor with a label for a signal of gradients, received none',
    )
  }
  const placeOf = createPermutation({ seed, epoch: step, numSamples: places.length, stream: STREAM })
  return Array.from({ length: Math.min(count, places.length) }, (_, i) => places[placeOf(i)]!)
}
