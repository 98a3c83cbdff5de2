import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createSourceStream, planMixing } from '../batch/index.js'
import type { DataFacts, Scores, StepFacts } from '../method/contract.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { createMethod } from './create-method.js'
import { importanceWeights, sharesBySource } from './source-shares.js'
import { fixedShares } from './static.js'

interface StaticGolden {
  readonly config: { readonly p: readonly number[]; readonly q: readonly number[] }
  readonly weights: readonly number[]
  readonly samples: readonly {
    readonly source: number
    readonly loss: number
    readonly gradient: readonly number[]
  }[]
  readonly gradient: readonly number[]
}

const GOLDEN = openGolden<StaticGolden>('static').values
const SOURCES = ['a', 'b', 'c']

/** The samples of the golden case as a pool, each of 5 tokens. */
const POOL = {
  numSamples: GOLDEN.samples.length,
  sources: SOURCES,
  sourceIndex: (i: number) => GOLDEN.samples[i]!.source,
  length: () => 5,
}

const dataFacts = (pool = POOL): DataFacts => ({
  ...pool,
  drawShares: () => Float64Array.from(planMixing(pool, 'natural'), ({ share }) => share),
})
const gateOf = (shares: 'equal' | Record<string, number>, data = dataFacts()) =>
  fixedShares.create({ shares }, { totalSteps: 10, stepsPerEpoch: 1, seed: 0, isPlainText: true, data })
const SHARES = { a: 45, b: 35, c: 20 }
const NOT_USED = {} as StepFacts

/** Weights of single samples of the pool. */
function weightsOf(samples: readonly number[]): number[] {
  return scope(() => {
    const scores: Scores = {
      score: tensor(new Float32Array(samples.length).fill(1), [samples.length]),
      index: samples,
      source: Uint16Array.from(samples, (i) => POOL.sourceIndex(i)),
      labels: new Float64Array(samples.length).fill(5),
    }
    return [...gateOf(SHARES).weights(scores, NOT_USED).toFloat32Array()]
  })
}

const meanGradient = (samples: readonly number[], weight: (place: number) => number): number[] =>
  GOLDEN.gradient.map(
    (_, k) =>
      samples.reduce((sum, i, place) => sum + weight(place) * GOLDEN.samples[i]!.gradient[k]!, 0) /
      samples.length,
  )

describe('fixed shares', () => {
  it('give the worked weights, whose mean over what is drawn is 1', () => {
    const { p, q } = GOLDEN.config
    const weights = importanceWeights(p, q)
    for (const [g, expected] of [0.75, 1.166667, 2].entries()) expect(weights[g]).toBeCloseTo(expected, 6)
    expect(q.reduce((sum, own, g) => sum + own * weights[g]!, 0)).toBeCloseTo(1, 12)
    expect([...importanceWeights([0.5, 0.5, 0], [1, 0, 0])]).toEqual([0.5, 0, 0])
  })

  it('have one expected gradient, whether they share out what is read or weigh the loss', () => {
    const all = Array.from({ length: POOL.numSamples }, (_, i) => i)
    const weights = weightsOf(all)
    const weighed = meanGradient(all, (place) => weights[place]!)
    for (const [k, expected] of GOLDEN.gradient.entries()) expect(weighed[k]).toBeCloseTo(expected, 6)
    const stream = createSourceStream({ dataset: POOL, seed: 4, maxLength: 5, packing: false })
    const shares = gateOf(SHARES).shares!()
    const read = Array.from({ length: 500 }, () => stream.next(8, shares).flat()).flat()
    const drawn = meanGradient(read, () => 1)
    for (const [k, expected] of GOLDEN.gradient.entries())
      expect(Math.abs(drawn[k]! - expected)).toBeLessThan(2e-3)
  })

  it('weigh a sample the same whatever stands beside it', () => {
    expect(weightsOf([0, 19]).map((w) => w.toFixed(6))).toEqual(['0.750000', '2.000000'])
    expect(weightsOf([19])[0]).toBe(weightsOf([3, 19, 15])[1])
  })

  it('are those of every source that has samples where the config gives none', () => {
    const two = { ...POOL, sources: ['a', 'none', 'c'], sourceIndex: (i: number) => (i < 15 ? 0 : 2) }
    expect([...gateOf('equal', dataFacts(two)).shares!()]).toEqual([0.5, 0, 0.5])
    expect([...gateOf({ a: 3 }, dataFacts(two)).shares!()]).toEqual([1, 0, 0])
    expect(() => gateOf({ none: 1 }, dataFacts(two))).toThrow(/shares of sources that are read.*"none"/)
  })

  it('refuse a name that the data does not have, and shares that are all 0', () => {
    expect(() => sharesBySource({ web: 1 }, ['a', 'b'], 'method.gate.shares')).toThrow(
      'method.gate.shares: the data has no source "web"; its sources are "a", "b"',
    )
    const problems = (shares: Record<string, number>) => fixedShares.check!({ shares }).map(({ key }) => key)
    expect([problems({ a: 1, b: 0 }), problems({ a: 0 }), problems({})]).toEqual([[], ['shares'], ['shares']])
  })
})

describe('static', () => {
  const shares = { a: 9, b: 7, c: 4 }
  it('steers the draw when it shares out what is read, and leaves it alone when it weighs the loss', () => {
    const method = (apply: 'sample' | 'loss') =>
      createMethod(
        { preset: 'static', apply, gate: { kind: 'fixed-shares', shares } },
        { dataset: POOL, totalSteps: 4 },
      )
    using reads = method('sample')
    using weighs = method('loss')
    expect([...reads.shares()!]).toEqual([0.45, 0.35, 0.2])
    expect(weighs.shares()).toBeUndefined()
    expect(weighs.normalizer).toBe('token.mean')
  })
})
