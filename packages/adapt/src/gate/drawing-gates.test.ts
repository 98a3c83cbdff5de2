import { scope } from '@adapt-ts/torch'
import { afterEach, describe, expect, it } from 'vitest'
import type { Gate, PluginState, ScoredPool } from '../method/contract.js'
import { fillOptions } from '../method/option-table.js'
import { outcomeOf, stepFacts } from '../method/step-facts.test.fixture.js'
import { band, bandWeights } from './band.js'
import { drawnPool, drawSchedule, poolPasses, scoredPart } from './draw-schedule.js'
import { window, windowPlace, windowWeights } from './window.js'

const close = (actual: ArrayLike<number>, expected: readonly number[]) => {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-6)
}
const shares = (weights: Float64Array) => {
  const sum = weights.reduce((a, b) => a + b)
  return weights.map((w) => w / sum)
}
const BAND = fillOptions(band.options, {})
const WINDOW = fillOptions(window.options, {})
const LOSSES = [0.5, 1.2, 2.0, 2.7, 3.5, 4.1]

describe('bands of losses', () => {
  it('have the worked quantiles and probabilities', () => {
    const { weight_U, lower, upper } = bandWeights(LOSSES, BAND)
    close([lower, upper], [1.72, 2.94])
    close(shares(weight_U), [0.071429, 0.071429, 0.357143, 0.357143, 0.071429, 0.071429])
    close(
      shares(bandWeights(LOSSES, { ...BAND, temperature: 2 }).weight_U),
      [0.118034, 0.118034, 0.263932, 0.263932, 0.118034, 0.118034],
    )
  })

  it('hold what is at or below the first quantile, between the two, and above the second', () => {
    for (const [focus, ids] of [
      ['low', [0, 1]],
      ['medium', [2, 3]],
      ['high', [4, 5]],
    ] as const) {
      const { weight_U } = bandWeights(LOSSES, { ...BAND, focus })
      expect([...weight_U.keys()].filter((i) => weight_U[i] === 5)).toEqual(ids)
    }
    // At a quantile: of the band below it.
    expect([...bandWeights([1, 2, 3], { ...BAND, lowerQuantile: 0.5, focus: 'low' }).weight_U]).toEqual([
      5, 5, 1,
    ])
  })
})

describe('the window', () => {
  const FIRST = [3, 2.5, 2, 4, 1, 2.2, 2.8, 1.5, 3.5, 2.1]
  const NOW = [2, 2.4, 2.1, 2.5, 1.2, 1.6, 2, 1.5, 3.3, 2.4]
  const FALL = FIRST.map((first, i) => first - NOW[i]!)
  const index = [...FALL.keys()]

  it('lies at the worked places', () => {
    const places = [1, 2, 3, 4].map((draw) => windowPlace(10, { draw, later: 4 }, WINDOW))
    expect(places.map(({ start, end }) => [start, end])).toEqual([
      [0, 2],
      [4, 6],
      [7, 9],
      [7, 9],
    ])
  })

  it('gives the worked probabilities', () => {
    const { weight_U, start, end } = windowWeights(FALL, { index, draw: 2, later: 4 }, WINDOW)
    expect([start, end]).toEqual([4, 6])
    close(shares(weight_U), [
      ...[0.011364, 0.454545, 0.011364, 0.011364, 0.011364],
      ...[0.011364, 0.011364, 0.011364, 0.454545, 0.011364],
    ])
  })

  it('weighs all alike where it lies behind the first loss that rose, and in the first draw', () => {
    for (const draw of [0, 3, 4])
      expect([...windowWeights(FALL, { index, draw, later: 4 }, WINDOW).weight_U]).toEqual(
        new Array(10).fill(1),
      )
  })

  it('breaks ties by the index of the sample, not by its place', () => {
    const of = { index: [5, 3, 9, 1, 7], draw: 1, later: 4 }
    const { weight_U } = windowWeights([1, 1, 1, 1, 1], of, { ...WINDOW, windowShare: 0.4 })
    expect(of.index.filter((_, i) => weight_U[i] === 1)).toEqual([3, 1])
  })
})

describe('when draws are made', () => {
  const auto = (options: Readonly<Record<string, unknown>> = {}) => fillOptions(band.options, options)

  it('is a share of the run, or the numbers of the source', () => {
    const stepsOf = (options: Readonly<Record<string, unknown>>) => {
      const { drawAt, numDraws } = drawSchedule(auto(options), { totalSteps: 200 })
      const steps = Array.from({ length: 200 }, (_, step) => step).filter((s) => drawAt(s) !== undefined)
      expect(steps.map((step) => drawAt(step))).toEqual(steps.map((_, i) => i))
      expect(numDraws).toBe(steps.length)
      return steps
    }
    expect(stepsOf({})).toEqual([20, 50, 80, 110, 140, 170])
    expect(stepsOf({ constants: 'paper' })).toEqual(Array.from({ length: 19 }, (_, i) => 10 + 10 * i))
    expect(stepsOf({ warmupSteps: 0, drawEvery: 150 })).toEqual([0, 150])
    expect(drawSchedule(auto(), { totalSteps: Infinity }).drawAt(20)).toBe(1)
  })

  it('scores so much of the pool that it takes a quarter of the FLOPs of training, and never more than all', () => {
    const share = (passes: number) => drawSchedule(auto(), { totalSteps: 200, passes }).scoredShare
    expect(share(1)).toBeCloseTo(0.125, 12)
    expect(share(3)).toBeCloseTo(0.375, 12)
    expect(share(20)).toBe(1)
    const shape = {
      ...{
        params: 1,
        trainable: 1,
        steps: 200,
        stepsPerEpoch: 100,
        samples: 50,
        anchors: 0,
        tokensPerAnchor: 0,
      },
      ...{ tokens: 2000, tokensPerPass: 1000 },
    }
    // 2N of what is scored over 6N of what is trained.
    expect((2 * poolPasses(auto(), shape) * 1000) / (6 * 2000)).toBeCloseTo(0.25, 12)
    expect(poolPasses(auto({ scoredShare: 1 }), shape)).toBe(6)
  })

  it('takes the parts of the pool in turns, each sample once a round', () => {
    const of = { numSamples: 20, scoredShare: 0.25, drawnShare: 1, seed: 3 }
    const parts = [0, 1, 2, 3].map((part) => [...scoredPart(part, of)])
    expect(parts.map(({ length }) => length)).toEqual([5, 5, 5, 5])
    expect(parts.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect([...scoredPart(4, of)]).toEqual(parts[0])
    expect([...scoredPart(3, { ...of, scoredShare: 1 })]).toEqual(Array.from({ length: 20 }, (_, i) => i))
    // The end of a round and the beginning of the next.
    const across = [...scoredPart(1, { ...of, scoredShare: 0.6 })]
    expect(across).toHaveLength(12)
    expect(across.filter((i) => scoredPart(0, { ...of, scoredShare: 0.6 }).includes(i))).toHaveLength(4)
  })

  it('draws by default from as much as the run reads, so that what is scored is not lost in a large pool', () => {
    const { scoredShare, drawnShare } = drawSchedule(auto(), { totalSteps: 200, passes: 0.4 })
    expect(drawnShare).toBe(0.4)
    const of = { numSamples: 50, scoredShare, drawnShare, seed: 3 }
    const pool = [...drawnPool(of)]
    expect(pool).toHaveLength(20)
    const seen = [0, 1, 2, 3, 4, 5].flatMap((part) => [...scoredPart(part, of)])
    expect(seen.every((sample) => pool.includes(sample))).toBe(true)
    expect(new Set(seen).size).toBeGreaterThanOrEqual(15)
    expect(drawSchedule(auto({ scoredShare: 0.1 }), { totalSteps: 200, passes: 0.4 }).drawnShare).toBe(1)
  })
})

describe('a gate that draws samples', () => {
  const data = {
    ...{ numSamples: 6, sources: ['a'], sourceIndex: () => 0, length: () => 1 },
    drawShares: () => Float64Array.of(1),
  }
  const gates: Gate[] = []
  afterEach(() => {
    for (const gate of gates.splice(0)) gate.dispose?.()
  })
  const createBand = (options: Readonly<Record<string, unknown>> = {}) => {
    const known = { warmupSteps: 2, drawEvery: 3, scoredShare: 1, ...options }
    const gate = band.create(fillOptions(band.options, known), stepFacts({ data }))
    gates.push(gate)
    return gate
  }
  const poolOf = (
    index: ArrayLike<number>,
    score: readonly number[],
    labels?: readonly number[],
  ): ScoredPool => ({
    index,
    score: Float32Array.from(score),
    labels: Float64Array.from(labels ?? score.map(() => 1)),
  })

  it('draws nothing of what is beyond the part that it draws from', () => {
    const gate = band.create(fillOptions(band.options, {}), stepFacts({ data, passes: 0.5, totalSteps: 20 }))
    gates.push(gate)
    const index = gate.wants!(2)!
    gate.observePool!(
      poolOf(
        index,
        Array.from(index, () => 1),
      ),
      stepFacts({ data, step: 2 }),
    )
    expect([...gate.draw!()!.weight_P].filter((w) => w > 0)).toHaveLength(3)
  })

  it('draws nothing in the warm-up, then wants the pool every U steps', () => {
    const gate = createBand()
    expect(gate.draw!()).toBeUndefined()
    expect([0, 1, 3, 4].map((step) => gate.wants!(step))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    expect([...Array.from(gate.wants!(2)!)]).toEqual([0, 1, 2, 3, 4, 5])
    gate.observePool!(poolOf([0, 1, 2, 3, 4, 5], LOSSES), stepFacts({ data, step: 2 }))
    const { number, weight_P, replacement } = gate.draw!()!
    expect([number, replacement]).toEqual([0, false])
    // The mean of a part is 1.
    close(weight_P, [3 / 7, 3 / 7, 15 / 7, 15 / 7, 3 / 7, 3 / 7])
    expect(gate.takeEvents!()).toEqual([
      expect.objectContaining({ kind: 'draw', step: 2, fields: expect.objectContaining({ scored: 6 }) }),
    ])
  })

  it('keeps the weight of what it did not see again, and draws the unseen as often as the mean', () => {
    const gate = createBand({ scoredShare: 0.5 })
    gate.observePool!(poolOf([1, 3, 5], [1, 2, 3]), stepFacts({ data, step: 2 }))
    close(gate.draw!()!.weight_P, [1, 3 / 7, 1, 15 / 7, 1, 3 / 7])
    gate.observePool!(poolOf([0, 2, 4], [1, 2, 3]), stepFacts({ data, step: 5 }))
    close(gate.draw!()!.weight_P, [3 / 7, 3 / 7, 15 / 7, 15 / 7, 3 / 7, 3 / 7])
    expect(gate.draw!()!.number).toBe(1)
  })

  it('draws no sample without labels and none whose score is no number, until it is scored again', () => {
    const gate = createBand()
    const pool = poolOf([0, 1, 2, 3, 4, 5], [1, Number.NaN, 2, Infinity, 3, 0], [1, 1, 1, 1, 1, 0])
    gate.observePool!(pool, stepFacts({ data, step: 2 }))
    expect([...gate.draw!()!.weight_P].map((w) => w > 0)).toEqual([true, false, true, false, true, false])
    gate.observePool!(poolOf([0, 1, 2, 3, 4, 5], LOSSES), stepFacts({ data, step: 5 }))
    expect([...gate.draw!()!.weight_P].every((w) => w > 0)).toBe(true)
    const before = [...gate.draw!()!.weight_P]
    const none = poolOf([0, 1, 2, 3, 4, 5], new Array<number>(6).fill(Number.NaN))
    gate.observePool!(none, stepFacts({ data, step: 8 }))
    expect([...gate.draw!()!.weight_P]).toEqual(before)
  })

  it('goes on from its state, and does not change the draw that it gave', () => {
    const gate = createBand()
    gate.observePool!(poolOf([0, 1, 2, 3, 4, 5], LOSSES), stepFacts({ data, step: 2 }))
    const { weight_P } = gate.draw!()!
    const before = [...weight_P]
    const { json, tensors } = gate.state!()
    const other = createBand()
    other.load!({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
    expect(other.draw!()).toEqual(gate.draw!())
    for (const one of [gate, other])
      one.observePool!(poolOf([0, 1, 2, 3, 4, 5], [...LOSSES].reverse()), stepFacts({ data, step: 5 }))
    expect(other.draw!()).toEqual(gate.draw!())
    expect([...weight_P]).toEqual(before)
  })

  it('is not changed by a step', () => {
    const gate = createBand()
    gate.observe?.(outcomeOf([1, 2], 1), stepFacts({ data }))
    expect(gate.draw!()).toBeUndefined()
    scope(() => expect(gate.state!().tensors.size).toBe(0))
  })

  it('counts draws from its own first one, where it takes over from another method', () => {
    const known = { warmupSteps: 0, drawEvery: 1, scoredShare: 1 }
    const gate = window.create(fillOptions(window.options, known), stepFacts({ data, totalSteps: 5 }))
    gates.push(gate)
    const all = [0, 1, 2, 3, 4, 5]
    gate.observePool!(poolOf(all, [0, 0, 0, 0, 0, 0]), stepFacts({ data, step: 2 }))
    expect(new Set(gate.draw!()!.weight_P)).toEqual(new Set([1]))
    gate.observePool!(poolOf(all, [6, 5, 4, 3, 2, 1]), stepFacts({ data, step: 3 }))
    // u = 1 of 2: the middle.
    expect(gate.draw!()!.weight_P[2]).toBeGreaterThan(gate.draw!()!.weight_P[0]!)
  })
})
