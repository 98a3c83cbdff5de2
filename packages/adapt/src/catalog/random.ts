/** P samples of the pool. */
import { topFraction } from '../gate/index.js'
import { defineMethod, defineSignal } from '../method/index.js'
import { sampleKeys } from '../signal/index.js'

/** s = a uniform number of (seed, sample). */
export const randomKey = defineSignal({
  kind: 'random-key',
  about: 'a uniform random number, drawn once for each sample of the pool',
  unit: 'sample',
  options: {},
  needs: () => ({}),
  preparesAlone: true,
  prepare: async (_, { data, seed }) => ({ score_P: Float32Array.from(sampleKeys(data, seed)) }),
})

/** Random k %: the baseline that any selection must beat. */
export const random = defineMethod({
  id: 'random',
  about: 'trains on a random share of the samples, drawn once before training',
  page: 'docs/methods/random.md',
  signal: randomKey,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025, end: 'lowest' } },
})
