import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { MethodEvent, PluginState, Signal } from '../method/index.js'
import { fillOptions } from '../method/option-table.js'
import { outcomeOf, stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { relativeDistance } from '../model/tiny-llama.test.fixture.js'
import { contrastive } from './contrastive.js'
import { solveDiscriminant } from './discriminant.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import { SignProjection } from './sign-projection.js'

type Vectors = readonly (readonly number[])[]
interface Refresh {
  readonly step: number
  readonly anchors: Vectors
  readonly background: Vectors
  readonly squaredDistance: number
  readonly separationAuc: number
}
interface Values {
  readonly samples: readonly Vectors[]
  readonly refreshes: readonly Refresh[]
  readonly steps: readonly { readonly odds: readonly number[]; readonly standard: readonly number[] }[]
}

const golden = openGolden<Values>('adapt-contrastive')
const { samples, refreshes, steps } = golden.values
const [first] = refreshes as [Refresh]

const create = (options: Readonly<Record<string, unknown>>): Signal =>
  contrastive.create!(fillOptions(contrastive.options, options), stepFacts(), {})

/** A signal among given embeddings. */
class Course {
  readonly states = new GivenStates()
  readonly anchors
  /** What recent samples are under the model as it is now. */
  background: Vectors = first.background
  laidOut: readonly number[] = []
  step = 0

  constructor(
    readonly signal: Signal,
    anchors: Vectors = first.anchors,
  ) {
    this.anchors = this.states.batch(anchors)
  }

  /** Scores of a step, and what it said. */
  run(vectors: Vectors, wasFinite = true) {
    const { signal, states } = this
    const layOut = (indexes: readonly number[]) => {
      this.laidOut = indexes
      return [states.batch(this.background)]
    }
    return scope(() => {
      const facts = { ...states.facts([this.anchors], this.step), layOut }
      signal.beforeStep!(facts)
      const atRefresh = signal.takeRescored!()
      const score_S = signal.score(states.look(states.batch(vectors)), facts)
      const scores = [...score_S.toFloat32Array()]
      this.step += 1
      signal.observe!(outcomeOf(scores, this.step, wasFinite), facts)
      const refresh = signal.takeEvents!().find(({ kind }) => kind === 'refresh') as MethodEvent | undefined
      expect(signal.takeRescored!()).toBeUndefined()
      return { scores, refresh, atRefresh }
    })
  }
}

const figuresOf = (event: MethodEvent | undefined) =>
  event?.fields.diagnostics as Readonly<Record<string, number>>

describe.each(['odds', 'standard'] as const)('a discriminant said as %s', (form) => {
  const options = {
    ...{ refreshEvery: 3, shrinkage: 0.3, background: 6, form },
    ...(form === 'odds' ? { prior: 0.2 } : {}),
  }
  const prepare = (course: Course, step: number) => {
    const found = refreshes.find((one) => one.step === step)
    if (found === undefined) return undefined
    course.states.move(course.anchors, found.anchors)
    course.background = found.background
    return found
  }

  it('has the scores and figures of the reference, step by step', () => {
    const course = new Course(create(options))
    for (const [step, vectors] of samples.entries()) {
      const expected = prepare(course, step)
      const { scores, refresh } = course.run(vectors)
      if (step < first.step) expect(scores).toEqual(vectors.map(() => 0))
      else expect(relativeDistance(scores, steps[step]![form])).toBeLessThan(1e-5)
      if (expected === undefined) {
        expect(refresh).toBeUndefined()
        continue
      }
      const direction = scope(() => course.signal.state!().tensors.get('direction')!.toFloat32Array())
      const reference = golden.floats(`direction${step}`)
      const scale = form === 'odds' ? 1 : norm(direction) / norm(reference)
      const unscaled = direction.map((value) => value / scale)
      expect(relativeDistance(unscaled, reference)).toBeLessThan(1e-5)
      const { squaredDistance, separationAuc } = figuresOf(refresh)
      expect(squaredDistance).toBeCloseTo(expected.squaredDistance, 4)
      expect(separationAuc).toBeCloseTo(expected.separationAuc, 6)
    }
  })

  it('goes on from its state as if nothing had happened', () => {
    const seen = (course: Course, vectors: Vectors) => {
      const { scores, atRefresh, refresh } = course.run(vectors)
      return [scores, atRefresh, refresh?.fields.diagnostics]
    }
    for (const [cut, _] of samples.entries()) {
      const course = new Course(create(options))
      for (const vectors of samples.slice(0, cut)) course.run(vectors)
      const resumed = new Course(create(options))
      const { json, tensors } = course.signal.state!()
      resumed.signal.load!({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
      resumed.step = course.step
      for (const vectors of samples.slice(cut)) expect(seen(resumed, vectors)).toEqual(seen(course, vectors))
    }
  })
})

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values))

describe('a contrastive signal', () => {
  const all = samples.flat()

  it('waits for its background, embeds the last samples anew and scores what it remembers', () => {
    const course = new Course(create({ refreshEvery: 2, background: 6 }))
    const counts = [3, 2, 1, 6, 2, 4].map((count) => course.run(all.slice(0, count)).atRefresh?.length)
    expect(counts).toEqual([undefined, undefined, undefined, 6, undefined, 14])
    expect(course.laidOut).toHaveLength(6)
    // Two refreshes of 14 anchors and 6 samples of one token each.
    expect(course.states.charged).toBe(40)
  })

  it('does not see that the model moves all states', () => {
    const moved = (by: number) => {
      const course = new Course(create({ refreshEvery: 100, background: 6 }))
      const shifted = all.map((row) => row.map((value) => value + by))
      course.run(all)
      for (let n = 0; n < 60; n++) course.run(shifted)
      return course.run(shifted).scores
    }
    expect(relativeDistance(moved(30), moved(0))).toBeLessThan(0.1)
  })

  it('gives 0 while nothing varies, and keeps nothing of a step that was not finite', () => {
    const course = new Course(create({ background: 2 }))
    const same = [all[0]!, all[0]!]
    course.run(same)
    expect(course.run(same).scores).toEqual([0, 0])
    const other = new Course(create({ background: 2 }))
    other.run(all, false)
    expect(other.run(all).scores).toEqual(all.map(() => 0))
  })

  it('solves for wider states in a projection of theirs', () => {
    const course = new Course(create({ projection: 3, shrinkage: 0.5, background: 2 }))
    course.run(samples[2]!)
    const { scores } = course.run(samples[1]!)
    const [seen, near, background, next] = scope(() => {
      using projection = new SignProjection(3, 0)
      return [samples[2]!, first.anchors, first.background, samples[1]!].map((rows) =>
        rows.map((row) => [
          ...projection.apply(tensor(Float32Array.from(row), [1, row.length])).toFloat32Array(),
        ]),
      )
    }) as [number[][], number[][], number[][], number[][]]
    const meanOf = (rows: number[][]) =>
      [0, 1, 2].map((i) => rows.reduce((sum, row) => sum + row[i]! / rows.length, 0))
    const around = (mean: number[], rows: number[][]) =>
      rows.map((row) => row.map((value, i) => value - mean[i]!))
    const residual = around(meanOf(seen), seen)
    const covariance = [0, 1, 2].flatMap((i) =>
      [0, 1, 2].map((j) => residual.reduce((sum, row) => sum + (row[i]! * row[j]!) / (seen.length - 1), 0)),
    )
    const anchors = around(meanOf(background), near).flat()
    const { direction, deviation } = solveDiscriminant({ covariance, anchors, K: 3, shrinkage: 0.5 })!
    const expected = around(meanOf(background), next).map(
      (row) => row.reduce((sum, value, i) => sum + value * direction[i]!, 0) / deviation / 8,
    )
    expect(relativeDistance(scores, expected)).toBeLessThan(1e-5)
  })

  it('says how far two halves of the anchors agree, and how far a solution turned', () => {
    const course = new Course(create({ background: 2, refreshEvery: 1 }))
    course.run(all)
    expect(figuresOf(course.run(all).refresh).splitHalfReliability).toBeGreaterThan(0)
    course.background = refreshes[1]!.background
    const figures = figuresOf(course.run(all).refresh)
    expect(figures.splitHalfReliability).toBeLessThan(1)
    expect(figures.staleness).toBeGreaterThan(0)
    expect(figures.stalenessSpearman).toBeLessThan(1)
  })

  it('refuses a run that cannot lay samples out again', () => {
    const signal = create({ background: 2 })
    const course = new Course(signal)
    course.run(all)
    expect(() => scope(() => signal.beforeStep!(course.states.facts([course.anchors], 1)))).toThrow(
      expect.objectContaining({ code: 'NEEDS_DATA' }),
    )
  })
})

describe('a discriminant in two dimensions', () => {
  const covariance = [2 / 3, 0, 0, 8 / 3]

  it('has the worked numbers', () => {
    const { direction, distance, deviation } = solveDiscriminant({
      covariance,
      anchors: [1, 1, 1, 3],
      K: 2,
      shrinkage: 0.5,
    })!
    expect(direction[0]).toBeCloseTo(6 / 7, 12)
    expect(direction[1]).toBeCloseTo(12 / 13, 12)
    const alongAnchor = direction[0]! + 2 * direction[1]!
    expect(alongAnchor - distance / 2).toBeCloseTo(1.351648, 6)
    expect(alongAnchor / deviation / 8).toBeCloseTo(0.203326, 6)
  })

  it('has none where nothing varies, or where the covariance alone is singular', () => {
    const one = { anchors: [1, 1], K: 2 }
    expect(solveDiscriminant({ ...one, covariance: [0, 0, 0, 0], shrinkage: 0.5 })).toBeUndefined()
    expect(solveDiscriminant({ ...one, covariance: [1, 1, 1, 1], shrinkage: 0 })).toBeUndefined()
    expect(solveDiscriminant({ ...one, covariance: [1, 1, 1, 1], shrinkage: 0.1 })).toBeDefined()
  })
})
