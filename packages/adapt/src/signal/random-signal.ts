import { type Tensor, tensor } from '@adapt-ts/torch'
import { createStream } from '../batch/index.js'
import type { Signal } from '../method/contract.js'
import { defineSignal } from '../method/define-method.js'

/** Tells these numbers apart from others that are drawn with the same seed. */
const STREAM = 17

/**
 * A score that knows nothing: one standard normal number a sample, a function of the seed and the sample's dense index
 * alone. The same in every step, however the step is cut. For controls.
 */
export function createRandomSignal({ seed }: { readonly seed: number }): Signal {
  return {
    score({ batch: { samples }, hidden_BTD }): Tensor {
      return tensor(
        Float32Array.from(samples, ({ index }) => keyedNormal(seed, index)),
        [samples.length],
        { device: hidden_BTD.device },
      )
    },
  }
}

/** A standard normal number that is a function of seed and index (Box and Muller's transform of two keyed ones). */
export function keyedNormal(seed: number, index: number): number {
  const next = createStream([seed, index, STREAM])
  const radius = Math.sqrt(-2 * Math.log((next() + 1) / 2 ** 32))
  return radius * Math.cos((2 * Math.PI * next()) / 2 ** 32)
}

/** {@link createRandomSignal}. */
export const randomSignal = defineSignal({
  kind: 'random',
  about: 'a standard normal number of seed and sample: a control',
  unit: 'sample',
  options: {},
  needs: () => ({}),
  create: (_, { seed }) => createRandomSignal({ seed }),
})
