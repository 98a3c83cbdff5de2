import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { RunFacts, StepFacts } from '../method/contract.js'
import type { OptionsOf } from '../method/option-table.js'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  type MinMaxOptions,
  minMaxSoftmax,
  minMaxWeights,
  SHAPES,
  type Shape,
  weighLengths,
} from './min-max-softmax.js'

const weightsOf = (losses: readonly number[], options: MinMaxOptions) =>
  scope(() => minMaxWeights(tensor(Float64Array.from(losses), [losses.length]), options).toFloat64Array())
const withLengths = (weights: Float64Array, counts: readonly number[]) =>
  scope(() => weighLengths(tensor(weights, [weights.length]), counts).toFloat64Array())

const LOSSES = [2, 3, 4, 6]
const close = (actual: ArrayLike<number>, expected: readonly number[], tolerance = 1e-4) => {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(tolerance)
}
const shares = (weights: ArrayLike<number>) => Array.from(weights, (weight) => weight / weights.length)
const lossOf = (weights: ArrayLike<number>, losses: readonly number[]) =>
  losses.reduce((sum, loss, i) => sum + weights[i]! * loss, 0)

describe('minMaxWeights', () => {
  it.each<[Shape, number, number[], number]>([
    ['linupper', 1, [0.123681, 0.203916, 0.336201, 0.336201], 4.221123],
    ['quadratic', 1, [0.1463, 0.309717, 0.397684, 0.1463], 3.690283],
    ['extremes', 1, [0.336201, 0.203916, 0.123681, 0.336201], 3.796084],
    ['linupper', 0.4, [0.034656, 0.12096, 0.422192, 0.422192], 4.654113],
    ['quadratic', 0.4, [0.048301, 0.314965, 0.588432, 0.048301], 3.685035],
    ['extremes', 0.4, [0.422192, 0.12096, 0.034656, 0.422192], 3.87904],
  ])('gives the worked weights and loss of %s at r %d', (shape, r, weights, loss) => {
    const found = shares(weightsOf(LOSSES, { shape, delta: 1, r }))
    close(found, weights)
    close([lossOf(found, LOSSES)], [loss])
  })

  it('weighs equal losses alike, also where they are equal but for rounding', () => {
    for (const shape of SHAPES) {
      close(weightsOf([3, 3, 3], { shape, delta: 1, r: 0.1 }), [1, 1, 1], 1e-12)
      const nearly = [10, 10 + 1e-9, 10 - 1e-9]
      close(weightsOf(nearly, { shape, delta: 1, r: 0.3 }), [1, 1, 1], 0.01)
      close(weightsOf([0.3], { shape, delta: 1, r: 0.1 }), [1], 1e-12)
    }
  })

  it('stands the smallest temperatures', () => {
    close(weightsOf(LOSSES, { shape: 'linupper', delta: 1, r: 1e-6 }), [0, 0, 2, 2], 1e-12)
  })

  it('gives no weight where a loss is not finite', () => {
    for (const loss of [Number.NaN, Infinity])
      expect([...weightsOf([1, loss, 2], { shape: 'linupper', delta: 1, r: 1 })]).toEqual([NaN, NaN, NaN])
  })

  interface Golden {
    readonly losses: readonly number[]
    readonly counts: readonly number[]
    readonly family: Readonly<
      Record<string, { weights: number[]; loss: number; lengthWeights: number[]; lengthLoss: number }>
    >
  }

  it('gives the weights and losses of the reference for every shape, with and without lengths', () => {
    const { losses, counts, family } = openGolden<Golden>('loss-gates').values
    for (const shape of SHAPES) {
      for (const r of [1, 0.4]) {
        const expected = family[`${shape}.${r}`]!
        const weights = weightsOf(losses, { shape, delta: 1, r })
        close(shares(weights), expected.weights, 1e-12)
        close(shares(withLengths(weights, counts)), expected.lengthWeights, 1e-12)
        close([lossOf(shares(withLengths(weights, counts)), losses)], [expected.lengthLoss], 1e-12)
      }
    }
  })
})

type Options = OptionsOf<typeof minMaxSoftmax.options>
const DEFAULTS: Options = {
  shape: 'linupper',
  r: 1,
  delta: 1,
  burnIn: 0.05,
  constants: 'scaled',
  lengthNorm: false,
}

function weigh(step: number, options: Partial<Options> = {}, labels = [1, 1, 1, 1]): number[] {
  const gate = minMaxSoftmax.create({ ...DEFAULTS, ...options }, { totalSteps: 100 } as RunFacts)
  return scope(() => {
    const score = tensor(Float32Array.from(LOSSES), [LOSSES.length])
    const scores = {
      score,
      index: LOSSES.map((_, i) => i),
      labels: Float64Array.from(labels),
      source: new Uint16Array(LOSSES.length),
    }
    return [...gate.weights(scores, { step } as StepFacts).toFloat32Array()]
  })
}

describe('minMaxSoftmax', () => {
  it('weighs all alike during its share of the run, or for the 1000 steps of the paper', () => {
    const weighed = weightsOf(LOSSES, DEFAULTS)
    expect(weigh(4)).toEqual([1, 1, 1, 1])
    close(weigh(5), [...weighed], 1e-6)
    close(weigh(0, { burnIn: 0 }), [...weighed], 1e-6)
    expect(weigh(999, { constants: 'paper' })).toEqual([1, 1, 1, 1])
    close(weigh(1000, { constants: 'paper' }), [...weighed], 1e-6)
  })

  it('multiplies by lengths when asked, during burn-in too', () => {
    expect(weigh(0, { lengthNorm: true }, [1, 2, 3, 2])).toEqual([0.5, 1, 1.5, 1])
    const weighed = weightsOf(LOSSES, DEFAULTS)
    const expected = [weighed[0]! * 0.5, weighed[1]!, weighed[2]! * 1.5, weighed[3]!]
    close(weigh(50, { lengthNorm: true }, [1, 2, 3, 2]), expected, 1e-6)
  })
})
