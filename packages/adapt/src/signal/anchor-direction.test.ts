import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { fixedPointWeights } from '../gate/index.js'
import type { Evidence } from '../method/index.js'
import { eventOf } from '../method/step-facts.test.fixture.js'
import { AnchorDirection } from './anchor-direction.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'

const SAMPLES = [
  [0.96, 0.28],
  [0.8, 0.6],
  [0.9, 0.4358899],
  [0, 1],
]
const LOSSES = [2, 3, 1.5, 2.5]
const DEFAULTS = { beta: 0.1, temperature: 0.05, iterations: 5, damping: 1 }
const OPTIONS = {
  pooling: 'last',
  tokens: 'all',
  target: 'centroid',
  targetBatch: 1,
  refreshEvery: 50,
} as const

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5)
}

/** Samples of one token, of which one is a label all the same: those without are not compared. */
function labelledLook(states: GivenStates, vectors: readonly (readonly number[])[]): Evidence {
  const look = states.look(states.batch(vectors))
  const samples = look.batch.samples.map((sample) => ({ ...sample, numLabels: 1 }))
  return { ...look, batch: { ...look.batch, samples } }
}

/** Scores and cosines of {@link SAMPLES}, in micro-batches of `rows`, in this step. */
function seen(
  signal: AnchorDirection,
  anchors: readonly (readonly number[])[],
  { step = 0, rows = 4, length = 1 } = {},
) {
  const states = new GivenStates()
  return scope(() => {
    const facts = states.facts(anchors.length > 0 ? [states.batch(anchors)] : [], step)
    signal.beforeStep(facts)
    const parts = Array.from({ length: SAMPLES.length / rows }, (_, a) =>
      SAMPLES.slice(a * rows, (a + 1) * rows).map((z) => z.map((x) => x * length)),
    )
    const looks = parts.map((part) => labelledLook(states, part))
    const scores = looks.flatMap((look) => [...signal.score(look).toFloat32Array()])
    return {
      scores,
      products: [...signal.interactions(looks, facts).toFloat32Array()],
      charged: states.charged,
    }
  })
}

const U = [[0.8, 0.6]]
const kish = (weights: ArrayLike<number>) =>
  1 / Array.from(weights).reduce((sum, weight) => sum + weight * weight, 0)

describe('AnchorDirection', () => {
  it('gives the worked scores and weights, whatever the length of the states and the cut of the step', () => {
    for (const setting of [{}, { rows: 2 }, { rows: 1 }, { length: 7 }]) {
      using signal = signalOf()
      const { scores, products } = seen(signal.signal, U, setting)
      expectClose(scores, [0.936, 1, 0.981534, 0.6])
      const { weight_S } = fixedPointWeights(scores, products, DEFAULTS)
      expectClose(weight_S, [0.146877, 0.505967, 0.346706, 0.00045])
      const loss = weight_S.reduce((sum, weight, i) => sum + weight * LOSSES[i]!, 0)
      expectClose([loss, kish(weight_S)], [2.332839, 2.513948])
    }
  })

  it.each([
    [{ beta: 0 }, [0.141166, 0.507723, 0.35094, 0.00017]],
    [{ beta: 1, temperature: 0.2, iterations: 50, damping: 0.5 }, [0.264924, 0.26563, 0.267477, 0.201969]],
  ])('gives the worked weights at %j', (options, expected) => {
    using signal = signalOf()
    const { scores, products } = seen(signal.signal, U)
    expectClose(fixedPointWeights(scores, products, { ...DEFAULTS, ...options }).weight_S, expected)
  })

  const ANCHORS = [
    [0.8, 0.6],
    [0, 2],
    [3, 0],
  ]

  it('averages the anchors before it normalises', () => {
    using signal = signalOf()
    const { scores, products, charged } = seen(signal.signal, ANCHORS)
    expectClose(
      [...scope(() => signal.signal.state().tensors.get('direction')!.toFloat32Array())],
      [0.825307, 0.564684],
    )
    expectClose(scores, [0.950406, 0.999056, 0.988917, 0.564684])
    expectClose(
      fixedPointWeights(scores, products, DEFAULTS).weight_S,
      [0.177804, 0.455461, 0.366527, 0.000208],
    )
    expect(charged).toBe(3)
  })

  it('goes around the anchors, one at each refresh, where the target rotates', () => {
    using signal = signalOf({ target: 'rotating', refreshEvery: 2 })
    const steps = Array.from({ length: 8 }, (_, step) => seen(signal.signal, ANCHORS, { step }))
    const second = [0.28, 0.6, 0.43589, 1]
    expectClose(steps[2]!.scores, second)
    expect(steps[3]!.scores).toEqual(steps[2]!.scores)
    const { weight_S } = fixedPointWeights(steps[2]!.scores, steps[2]!.products, DEFAULTS)
    expectClose(weight_S, [0.000002, 0.000745, 0.000039, 0.999214])
    expect(steps[6]!.scores).toEqual(steps[0]!.scores)
    expect(steps.map(({ charged }) => charged)).toEqual([1, 0, 1, 0, 1, 0, 1, 0])
  })

  it('knows likeness alone without a target, and needs no anchors then', () => {
    using signal = signalOf({ target: 'none' })
    const { scores, products, charged } = seen(signal.signal, [])
    expect([scores, charged]).toEqual([[0, 0, 0, 0], 0])
    expect(products[1]).toBeCloseTo(0.936, 5)
    expect(eventOf(signal.signal, 'refresh')).toBeUndefined()
  })

  it('refuses to start without anchors', () => {
    using signal = signalOf()
    expect(() => seen(signal.signal, [])).toThrow(expect.objectContaining({ code: 'NO_ANCHORS' }))
  })

  it('says what a refresh was, and how far the target moved', () => {
    using signal = signalOf({ target: 'rotating', refreshEvery: 1 })
    seen(signal.signal, ANCHORS)
    expect(eventOf(signal.signal, 'refresh')).toMatchObject({
      reason: 'start',
      numAnchors: 1,
      flops: 1,
      diagnostics: {},
    })
    seen(signal.signal, ANCHORS, { step: 1 })
    const { diagnostics } = eventOf(signal.signal, 'refresh') as { diagnostics: { staleness: number } }
    expect(diagnostics.staleness).toBeCloseTo(1 - 0.6, 5)
  })

  it('goes on between two refreshes from its state', () => {
    using one = signalOf({ target: 'rotating', refreshEvery: 2 })
    seen(one.signal, ANCHORS)
    using two = signalOf({ target: 'rotating', refreshEvery: 2 })
    two.signal.load(one.signal.state())
    for (const step of [1, 2, 3])
      expect(seen(two.signal, ANCHORS, { step }).scores).toEqual(seen(one.signal, ANCHORS, { step }).scores)
  })
})

it('compares samples for the signal of ADAPT, too', () => {
  const states = new GivenStates()
  const signal = new ModelEmbeddingSignal()
  scope(() => {
    const facts = states.facts([states.batch(U)])
    signal.beforeStep(facts)
    const tripled = SAMPLES.map((z) => z.map((x) => 3 * x))
    const looks = [labelledLook(states, tripled)]
    const products = signal.interactions(looks, facts).toFloat32Array()
    expectClose(products.slice(0, 4), [1, 0.936, 0.986049, 0.28])
  })
  signal.dispose()
})

function signalOf(options: Partial<ConstructorParameters<typeof AnchorDirection>[0]> = {}) {
  const signal = new AnchorDirection({ ...OPTIONS, ...options })
  return { signal, [Symbol.dispose]: () => signal.dispose() }
}
