import { scope, type Tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import { createConstantSignal } from './constant-signal.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import { type ModelEmbeddingOptions, ModelEmbeddingSignal } from './model-embedding-signal.js'
import type { PluginState } from './signal.js'

type Vectors = readonly (readonly number[])[]

/** Unit vectors whose mean is (x, y). */
function unitPair(x: number, y: number): Vectors {
  const length = Math.hypot(x, y)
  const side = Math.sqrt(1 - length ** 2) / length
  return [
    [x - side * y, y + side * x],
    [x + side * y, y - side * x],
  ]
}

function setUp(anchors: Vectors, options: ModelEmbeddingOptions = {}, firstStep = 0) {
  const states = new GivenStates()
  const anchorBatch = states.batch(anchors)
  const context = states.context([anchorBatch])
  const signal = new ModelEmbeddingSignal(options)
  let step = firstStep
  return {
    signal,
    moveAnchors: (vectors: Vectors) => states.move(anchorBatch, vectors),
    /** One optimiser step over these embeddings: the refresh, if any, and the scores. */
    step(vectors: Vectors, wasFinite = true) {
      return scope(() => {
        const refresh = signal.beforeStep(step++, context)
        const scores = [...signal.score(states.embed(states.batch(vectors))).toFloat32Array()]
        const rescored = signal.afterStep(context, wasFinite)
        return { refresh, scores, rescored }
      })
    },
  }
}

const expectClose = (actual: readonly number[], expected: readonly number[], digits = 6) => {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, digits)
}

const normalise = (v: readonly number[]) => v.map((x) => x / Math.hypot(...v))
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

const ANCHORS: Vectors = [
  [1, 0, 0],
  [0, 3, 4],
  [1, 1, 1],
]
const SAMPLES: Vectors = [
  [1, 1, 4.5],
  [-2, 0.5, 1],
  [0, 0, 0.01],
]

describe('ModelEmbeddingSignal', () => {
  it('scores with the mean cosine over the anchors, as a loop over all pairs gives it', () => {
    const { step } = setUp(ANCHORS)
    const { scores } = step(SAMPLES)
    const expected = SAMPLES.map((sample) => {
      const cosines = ANCHORS.map((anchor) => dot(normalise(sample), normalise(anchor)))
      return cosines.reduce((a, b) => a + b) / ANCHORS.length
    })
    expectClose(scores, expected)
    expect(scores[0]).toBeCloseTo(0.632662, 6)
  })

  it('reports the length of the centroid and the tokens of the anchors', () => {
    const { step } = setUp(ANCHORS)
    const { refresh } = step(SAMPLES)
    expect(refresh).toMatchObject({ numAnchors: 3, numTokens: 3 })
    expect(refresh!.figures.resultantLength).toBeCloseTo(0.800783, 6)
    expect(refresh!.rescored).toBeUndefined()
  })

  it('embeds the anchors again every so many steps and uses the old centroid in between', () => {
    const { step, moveAnchors } = setUp([[1, 0]], { refreshEvery: 3 })
    const seen = [0, 1, 2, 3, 4, 5, 6].map((n) => {
      moveAnchors([[Math.cos(n / 10), Math.sin(n / 10)]])
      const { refresh, scores } = step([[1, 0]])
      return [refresh !== undefined, scores[0]!] as const
    })
    expect(seen.map(([refreshed]) => refreshed)).toEqual([true, false, false, true, false, false, true])
    expectClose(
      seen.map(([, score]) => score),
      [0, 0, 0, 3, 3, 3, 6].map((n) => Math.cos(n / 10)),
    )
  })

  it('reports how far the centroid turned: 0.023813 from (0.6, 0.2) to (0.5, 0.3)', () => {
    const { step, moveAnchors, signal } = setUp(unitPair(0.6, 0.2), { refreshEvery: 1 })
    expect(step([[1, 0]]).refresh!.figures.staleness).toBe(0)
    expectClose([...signal.centroid!.toFloat32Array()], [0.6, 0.2])
    moveAnchors(unitPair(0.5, 0.3))
    expect(step([[1, 0]]).refresh!.figures.staleness).toBeCloseTo(0.023813, 5)
    expectClose([...signal.centroid!.toFloat32Array()], [0.5, 0.3])
  })

  it('gives the scores of remembered samples under the new centroid at a refresh', () => {
    const { step, moveAnchors } = setUp([[1, 0]], { refreshEvery: 2, reservoirSize: 3 })
    step([
      [1, 0],
      [0, 1],
    ])
    step([
      [0.6, 0.8],
      [-1, 0],
    ])
    moveAnchors([[0, 1]])
    const { refresh } = step([[1, 1]])
    expectClose([...refresh!.rescored!].sort(), [0, 0.8, 1].sort())
  })

  it('mixes the old and the new centroid with an average', () => {
    const { step, moveAnchors, signal } = setUp([[1, 0]], { refreshEvery: 1, centroidEma: 0.25 })
    step([[1, 0]])
    moveAnchors([[0, 1]])
    step([[1, 0]])
    expectClose([...signal.centroid!.toFloat32Array()], [0.75, 0.25])
  })

  it('refuses to score or to refresh without anchors', () => {
    const states = new GivenStates()
    scope(() => {
      expect(() => new ModelEmbeddingSignal().score(states.embed(states.batch([[1, 0]])))).toThrow(
        ConfigError,
      )
      expect(() => new ModelEmbeddingSignal().beforeStep(0, states.context([]))).toThrow(ConfigError)
    })
  })
})

describe('a centred signal', () => {
  const phi: Vectors = [
    [0.96, 0.28],
    [0.8, 0.6],
    [0.9, 0.4358899],
  ]

  it('gives the worked scores: 0 before a mean is known, then what stands out from it', () => {
    expectClose(setUp([[0.8, 0.6]]).step(phi).scores, [0.936, 1, 0.9815], 4)
    const { step } = setUp([[0.8, 0.6]], { center: true })
    expect(step(phi).scores).toEqual([0, 0, 0])
    expectClose(step(phi).scores, [-0.9982, 1, -0.6408], 3)
  })

  it('scores the samples of the first step again once their mean is known, and only those', () => {
    const { step } = setUp([[0.8, 0.6]], { center: true })
    expectClose([...step(phi).rescored!], [-0.9982, 1, -0.6408], 3)
    expect(step(phi).rescored).toBeUndefined()
    expect(setUp([[0.8, 0.6]]).step(phi).rescored).toBeUndefined()
  })

  it('forgets the samples of a step that was not finite', () => {
    const { step, signal } = setUp([[0.8, 0.6]], { center: true })
    step(phi)
    const before = [...signal.centroid!.toFloat32Array()]
    step([[Number.NaN, 1]], false)
    expect([...signal.centroid!.toFloat32Array()]).toEqual(before)
    expectClose(step(phi).scores, [-0.9982, 1, -0.6408], 3)
  })

  it('keeps the centroid in step with the mean between two refreshes', () => {
    const { step, signal } = setUp([[0.8, 0.6]], { center: true, refreshEvery: 1000, reservoirSize: 3 })
    step(phi)
    const before = [...signal.centroid!.toFloat32Array()]
    step([
      [0, 1],
      [0, 1],
      [0, 1],
    ])
    expectClose([...signal.centroid!.toFloat32Array()], normalise([0.8, -0.4]))
    expect(before).not.toEqual([...signal.centroid!.toFloat32Array()])
  })
})

describe('an average of centroids', () => {
  it('is refused with centring, which rebuilds the centroid after every step', () => {
    expect(() => new ModelEmbeddingSignal({ center: true, centroidEma: 0.5 })).toThrow(ConfigError)
  })
})

describe('state', () => {
  const copyOf = ({ json, tensors }: PluginState): PluginState => ({
    json: JSON.parse(JSON.stringify(json)) as Record<string, unknown>,
    tensors: new Map<string, Tensor>(tensors),
  })
  const stepsOf = (n: number): Vectors => [
    [Math.sin(n), 1],
    [1, Math.cos(n)],
  ]

  it.each([
    { center: false },
    { center: true },
    { center: true, reservoirSize: 5 },
    { center: false, centroidEma: 0.5, reservoirSize: 5 },
  ])('continues identically in the middle of an interval: %o', (options) => {
    const first = setUp([[1, 0.2]], { refreshEvery: 4, ...options })
    const second = setUp([[1, 0.2]], { refreshEvery: 4, ...options }, 6)
    const anchorsAt = (n: number): Vectors => [[1, 0.2 + n / 5]]
    for (let n = 0; n < 6; n++) {
      first.moveAnchors(anchorsAt(n))
      first.step(stepsOf(n))
    }
    second.signal.load(copyOf(first.signal.state()))
    for (let n = 6; n < 14; n++) {
      first.moveAnchors(anchorsAt(n))
      second.moveAnchors(anchorsAt(n))
      expect(second.step(stepsOf(n))).toEqual(first.step(stepsOf(n)))
    }
    first.signal.dispose()
    expect(second.step(stepsOf(14)).scores.every(Number.isFinite)).toBe(true)
    second.signal.dispose()
  })

  it('of a fresh signal loads into another', () => {
    const { signal, step } = setUp([[1, 0]])
    signal.load(copyOf(new ModelEmbeddingSignal().state()))
    expect(step([[1, 0]]).scores).toEqual([1])
  })
})

describe('the constant signal', () => {
  it('scores every sample with 1', () => {
    const states = new GivenStates()
    scope(() => {
      const scores = createConstantSignal().score(
        states.embed(
          states.batch([
            [1, 2],
            [3, 4],
          ]),
        ),
      )
      expect([...scores.toFloat32Array()]).toEqual([1, 1])
    })
  })
})
