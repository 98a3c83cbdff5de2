/** P samples of the pool, S samples of a micro-batch. */
import { mul, sub, tensor } from '@adapt-ts/torch'
import { defineSignal } from '../method/define-method.js'
import { requireData } from '../method/require-data.js'
import { KeptNumbers } from './kept-numbers.js'

/** Of a sample that was not scored yet; losses are no less than 0, and a checkpoint holds finite numbers alone. */
const UNKNOWN = -1

/** s = l_first - l: how far the loss of a sample fell since the pool was first scored; 0 for one that was not scored yet. */
export const lossFall = defineSignal({
  kind: 'loss-fall',
  about: 'how far the mean loss of the sample fell since the pool was first scored, in nats',
  unit: 'sample',
  options: {},
  needs: () => ({ tokenLosses: true }),
  create(_, facts) {
    const { numSamples } = requireData(facts, 'loss-fall')
    let first_P: Float32Array = new Float32Array(numSamples).fill(UNKNOWN)
    const kept = new KeptNumbers('first')
    return {
      score({ batch: { samples }, hidden_BTD: { device }, sampleLoss_S }) {
        const first_S = Float32Array.from(samples, ({ index }) => first_P[index] ?? UNKNOWN)
        const onDevice = (values: Float32Array) => tensor(values, [samples.length], { device })
        const known_S = onDevice(first_S.map((first) => (first === UNKNOWN ? 0 : 1)))
        const reference_S = onDevice(first_S.map((first) => (first === UNKNOWN ? 0 : first)))
        return sub(reference_S, mul(sampleLoss_S(), known_S))
      },
      observePool({ index, loss }) {
        if (loss === undefined) return
        for (const [place, sample] of Array.from(index).entries())
          if (first_P[sample] === UNKNOWN && Number.isFinite(loss[place])) first_P[sample] = loss[place]!
        kept.keep(first_P)
      },
      state: () => ({ json: {}, tensors: kept.tensors }),
      load({ tensors }) {
        first_P = kept.load(tensors) ?? first_P
      },
      dispose: () => kept[Symbol.dispose](),
    }
  },
})
