import { scope, type Tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import type { PluginState } from '../method/index.js'
import { eventOf, outcomeOf } from '../method/step-facts.test.fixture.js'
import { createConstantSignal } from './constant-signal.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import type { ModelEmbeddingOptions } from './model-embedding-options.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'

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

/** What a refresh says of itself but how long it took, with the new scores that a gate gets of it. */
function refreshOf(signal: ModelEmbeddingSignal) {
  const rescored = signal.takeRescored()
  const fields = eventOf(signal, 'refresh')
  if (fields === undefined) {
    expect(rescored).toBeUndefined()
    return undefined
  }
  const { refreshMs, ...rest } = fields
  expect(refreshMs).toBeGreaterThanOrEqual(0)
  const known = rest as { reason: string; numAnchors: number; flops: number }
  return { ...known, diagnostics: rest.diagnostics as Readonly<Record<string, number>>, rescored }
}

function setUp(
  anchors: Vectors,
  options: ModelEmbeddingOptions = {},
  firstStep = 0,
  tasks: readonly string[] = [],
) {
  const states = new GivenStates()
  const anchorBatch = states.batch(anchors, tasks)
  const signal = new ModelEmbeddingSignal(options)
  let step = firstStep
  return {
    signal,
    charged: () => states.charged,
    moveAnchors: (vectors: Vectors) => states.move(anchorBatch, vectors),
    /** One optimiser step over these embeddings: the refresh, if any, and the scores. */
    step(vectors: Vectors, wasFinite = true) {
      return scope(() => {
        const facts = states.facts([anchorBatch], step++)
        signal.beforeStep(facts)
        const refresh = refreshOf(signal)
        const scores = [...signal.score(states.look(states.batch(vectors))).toFloat32Array()]
        signal.observe(outcomeOf(scores, step, wasFinite), facts)
        return { refresh, scores, rescored: signal.takeRescored() }
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
    expect(refresh).toMatchObject({ numAnchors: 3, flops: 3 })
    expect(refresh!.diagnostics.resultantLength).toBeCloseTo(0.800783, 6)
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
    expect(step([[1, 0]]).refresh!.diagnostics).not.toHaveProperty('staleness')
    expectClose([...signal.centroid!.toFloat32Array()], [0.6, 0.2])
    moveAnchors(unitPair(0.5, 0.3))
    expect(step([[1, 0]]).refresh!.diagnostics.staleness).toBeCloseTo(0.023813, 5)
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
      expect(() => new ModelEmbeddingSignal().score(states.look(states.batch([[1, 0]])))).toThrow(ConfigError)
      expect(() => new ModelEmbeddingSignal().beforeStep(states.facts([]))).toThrow(ConfigError)
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

describe('an adaptive refresh', () => {
  const options = { refresh: 'adaptive', probeEvery: 2, refreshMin: 2, refreshMax: 9, drift: 0.01 } as const
  const turned = (angle: number): Vectors => [[Math.cos(angle), Math.sin(angle)]]

  it('embeds all anchors when the probe has turned too far or the longest interval is over', () => {
    const { step, moveAnchors, charged } = setUp(turned(0), options)
    const seen: (string | undefined)[] = []
    for (let n = 0; n < 15; n++) {
      // cos(0.2) is 0.98: the turn at step 3 is found by the probe of step 4.
      if (n === 3) moveAnchors(turned(0.2))
      const { refresh } = step([
        [1, 0.1],
        [0.2, 1],
      ])
      seen.push(refresh?.reason)
      if (refresh?.reason === 'drift') expect(refresh.diagnostics.probeDrift).toBeGreaterThan(0.01)
      if (n === 4) expect(refresh).toMatchObject({ flops: 3, reason: 'drift' })
    }
    expect(seen.map((reason, n) => reason && `${n} ${reason}`).filter(Boolean)).toEqual([
      '0 start',
      '4 drift',
      '13 interval',
    ])
    // Refreshes of one anchor at 0, 4 and 13, probes at 2 and 4, then at 6, 8, 10, 12.
    expect(charged()).toBe(3 + 2 + 4)
  })

  it('looks at what stands out from the mean of recent samples, not at what all texts share', () => {
    const shared = 50
    const { step, moveAnchors } = setUp([[shared, 1]], options)
    const samples: Vectors = [
      [shared, 0.5],
      [shared, -0.5],
    ]
    step(samples)
    moveAnchors([[shared, -1]])
    step(samples)
    // Uncentred, the cosine of old and new is 0.999.
    expect(step(samples).refresh?.diagnostics.probeDrift).toBeCloseTo(2, 3)
  })
})

describe('a rolling refresh', () => {
  const at = (angle: number): Vectors =>
    [0, 0.3, 0.6, 0.9].map((a) => [Math.cos(a + angle), Math.sin(a + angle)])

  it('embeds some anchors every step, reports once a round, and counts every token once', () => {
    const { step, moveAnchors, signal, charged } = setUp(at(0), { refresh: 'rolling', refreshEvery: 4 })
    const angleOf = () => [...signal.state().tensors.get('anchors')!.toFloat32Array()]
    step([[1, 0]])
    const reports: unknown[] = []
    for (let n = 1; n <= 8; n++) {
      moveAnchors(at(n / 10))
      const { refresh } = step([
        [1, n],
        [n, 1],
      ])
      if (refresh) reports.push([n, refresh.reason, refresh.flops])
      // The anchor of this step is new, the next one is as old as it gets.
      const place = (n - 1) % 4
      expect(angleOf()[2 * place]).toBeCloseTo(at(n / 10)[place]![0]!, 6)
      expectClose(
        [...signal.centroid!.toFloat32Array()],
        [0, 1].map((d) => angleOf().reduce((sum, x, i) => sum + (i % 2 === d ? x / 4 : 0), 0)),
      )
    }
    expect(reports).toEqual([
      [4, 'rolling', 4],
      [8, 'rolling', 4],
    ])
    expect(charged()).toBe(4 + 8)
  })

  it('says how far the centroid moved since the last report', () => {
    const { step, moveAnchors } = setUp(at(0), { refresh: 'rolling', refreshEvery: 2 })
    step([
      [1, 0],
      [0, 1],
      [1, 1],
    ])
    moveAnchors(at(0.5))
    step([[1, 0]])
    expect(step([[1, 0]]).refresh!.diagnostics.staleness).toBeCloseTo(1 - Math.cos(0.5), 5)
  })

  it('is refused with an average of centroids', () => {
    expect(() => new ModelEmbeddingSignal({ refresh: 'rolling', centroidEma: 0.5 })).toThrow(ConfigError)
  })
})

describe('several tasks', () => {
  const anchors: Vectors = [
    [1, 0],
    [1, 0.1],
    [0, 1],
  ]
  const tasks = ['code', 'code', 'prose']

  it('score by the nearest task', () => {
    const { step } = setUp(anchors, { aggregate: 'max' }, 0, tasks)
    const { scores, refresh } = step([
      [0, 3],
      [2, 0],
    ])
    expectClose(scores, [1, (1 + normalise([1, 0.1])[0]!) / 2])
    expect(refresh!.diagnostics['resultantLength.prose']).toBeCloseTo(1, 6)
  })

  it('zmax: scores of the first step are 0, then come from the moments of what was seen before', () => {
    const { step } = setUp(anchors, { aggregate: 'zmax' }, 0, tasks)
    const samples: Vectors = [
      [1, 0],
      [0, 1],
      [1, 1],
    ]
    const first = step(samples)
    expect(first.scores).toEqual([0, 0, 0])
    expect(first.rescored).toHaveLength(3)
    const { scores } = step(samples)
    expectClose(scores, [...first.rescored!], 5)
    expect(Math.max(...scores)).toBeGreaterThan(0.1)
    expect(step(samples, false).rescored).toBeUndefined()
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
    { refresh: 'adaptive', probeEvery: 1, refreshMin: 2, drift: 0.02 } as const,
    { refresh: 'adaptive', probeEvery: 1, refreshMin: 2, drift: 0.02, center: true } as const,
    { refresh: 'rolling', refreshEvery: 5, aggregate: 'zmax', center: true } as const,
    { refresh: 'rolling', refreshEvery: 3, aggregate: 'lse' } as const,
  ])('continues identically in the middle of an interval: %o', (options) => {
    const anchorsAt = (n: number): Vectors => [
      [1, 0.2 + n / 5],
      [0.5, 1 - n / 7],
      [n / 9, 1],
    ]
    const tasks = ['one', 'two', 'two']
    const first = setUp(anchorsAt(0), { refreshEvery: 4, ...options }, 0, tasks)
    const second = setUp(anchorsAt(0), { refreshEvery: 4, ...options }, 6, tasks)
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
        states.look(
          states.batch([
            [1, 2],
            [3, 4],
          ]),
        ),
        states.facts([]),
      )
      expect([...scores.toFloat32Array()]).toEqual([1, 1])
    })
  })
})
