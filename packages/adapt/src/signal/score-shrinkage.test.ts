import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { PluginState } from '../method/index.js'
import { eventOf, outcomeOf } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { relativeDistance } from '../model/tiny-llama.test.fixture.js'
import { anchorTasks, asOneTask, halvedTasks } from './anchor-tasks.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import type { ModelEmbeddingOptions } from './model-embedding-options.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'
import { ScoreShrinkage } from './score-shrinkage.js'

type Vectors = readonly (readonly number[])[]
interface Arm {
  readonly aggregate: 'micro' | 'max'
  readonly center: boolean
  readonly steps: readonly { readonly plain: readonly number[]; readonly shrunk: readonly number[] }[]
  readonly refreshes: readonly {
    readonly step: number
    readonly withinReliability: number
    readonly betweenSources: number
    readonly means: Readonly<Record<string, number>>
    readonly rescored: readonly number[]
  }[]
}
interface Values {
  readonly samples: readonly (readonly { readonly state: readonly number[]; readonly source: string }[])[]
  readonly anchors: Readonly<Record<string, Vectors>>
  readonly firstHalf: Readonly<Record<Arm['aggregate'], readonly number[]>>
  readonly arms: readonly Arm[]
}

const { values } = openGolden<Values>('score-shrinkage')
const NAMES = ['near', 'far', 'late', 'unused']
const TASKS = ['x', 'y', 'x', 'y', 'x', 'y']

/** A signal among given embeddings of known sources. */
class Course {
  readonly states = new GivenStates()
  readonly anchors
  readonly signal
  step = 0
  /** By dense index. */
  private readonly sources: number[] = []

  constructor(options: ModelEmbeddingOptions, vectors: Vectors = values.anchors['0']!, tasks = TASKS) {
    this.signal = new ModelEmbeddingSignal({ refreshEvery: 2, ...options })
    this.anchors = this.states.batch(vectors, tasks)
  }

  /** Facts of the step; the data knows the source of every sample so far. */
  facts() {
    const data = {
      numSamples: 0,
      sources: NAMES,
      sourceIndex: (index: number) => this.sources[index]!,
      length: () => 1,
      drawShares: () => new Float64Array(),
    }
    return { ...this.states.facts([this.anchors], this.step), data }
  }

  run(samples: Values['samples'][number], wasFinite = true) {
    const { signal, states } = this
    const now = values.anchors[String(this.step)]
    if (now) states.move(this.anchors, now)
    return scope(() => {
      const facts = this.facts()
      signal.beforeStep(facts)
      const rescored = signal.takeRescored()
      const diagnostics = eventOf(signal, 'refresh')?.diagnostics as
        | Readonly<Record<string, number>>
        | undefined
      const made = states.batch(samples.map(({ state }) => state))
      // The samples of a batch count from 0.
      const first = this.sources.length
      this.sources.push(...samples.map(({ source }) => NAMES.indexOf(source)))
      const batch = { ...made, samples: made.samples.map((one, i) => ({ ...one, index: first + i })) }
      const scores = [...signal.score(states.look(batch), facts).toFloat32Array()]
      this.step += 1
      signal.observe(outcomeOf(scores, this.step, wasFinite), facts)
      // A first mean has those of the first step scored again.
      signal.takeRescored()
      return { scores, rescored, diagnostics }
    })
  }
}

describe.each(values.arms)('scores with aggregate $aggregate, centred: $center', (arm) => {
  const { aggregate, center } = arm

  it('are shrunk within their sources as the reference has it, step by step', () => {
    const course = new Course({ aggregate, center, scoreShrinkage: 'within_source' })
    for (const [step, samples] of values.samples.entries()) {
      const { scores, rescored, diagnostics } = course.run(samples)
      expect(relativeDistance(scores, arm.steps[step]!.shrunk)).toBeLessThan(1e-5)
      const expected = arm.refreshes.find((one) => one.step === step)
      if (expected === undefined) {
        expect(rescored).toBeUndefined()
        continue
      }
      expect(relativeDistance(rescored!, expected.rescored)).toBeLessThan(1e-5)
      expect(diagnostics!.withinReliability).toBeCloseTo(expected.withinReliability, 4)
      expect(diagnostics!.betweenSources).toBeCloseTo(expected.betweenSources, 6)
      for (const [name, mean] of Object.entries(expected.means))
        expect(diagnostics![`sourceMean.${name}`]).toBeCloseTo(mean, 5)
    }
  })

  it('stay as they are when it is off, and the same figures are logged', () => {
    const course = new Course({ aggregate, center })
    for (const [step, samples] of values.samples.entries()) {
      const { scores, diagnostics } = course.run(samples)
      expect(relativeDistance(scores, arm.steps[step]!.plain)).toBeLessThan(1e-5)
      const expected = arm.refreshes.find((one) => one.step === step)
      if (expected === undefined) continue
      expect(diagnostics!.withinReliability).toBeCloseTo(expected.withinReliability, 4)
      expect(diagnostics!.betweenSources).toBeCloseTo(expected.betweenSources, 6)
      expect(Object.keys(diagnostics!).filter((name) => name.startsWith('sourceMean'))).toEqual([])
    }
  })

  it('halve the anchors as the reference was told', () => {
    const course = new Course({})
    const tasks = anchorTasks([course.anchors])
    const { of, names } = halvedTasks(aggregate === 'micro' ? asOneTask(tasks) : tasks)
    const first = of.flatMap((half, v) => (half < names.length / 2 ? [v] : []))
    expect(first).toEqual(values.firstHalf[aggregate])
  })
})

describe('shrinkage within sources', () => {
  const options = { center: true, scoreShrinkage: 'within_source' } as const

  it('goes on from its state as if nothing had happened', () => {
    for (const cut of values.samples.keys()) {
      const course = new Course(options)
      for (const samples of values.samples.slice(0, cut)) course.run(samples)
      const resumed = new Course(options)
      const { json, tensors } = course.signal.state()
      for (const samples of values.samples.slice(0, cut)) resumed.run(samples)
      const fresh = new ModelEmbeddingSignal({ refreshEvery: 2, ...options })
      fresh.load({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
      Object.assign(resumed, { signal: fresh })
      for (const samples of values.samples.slice(cut))
        expect(resumed.run(samples)).toEqual(course.run(samples))
    }
  })

  it('keeps nothing of a step that was not finite', () => {
    const course = new Course(options)
    const [first, bad, second, third] = values.samples
    course.run(first!)
    course.run(bad!, false)
    const { rescored } = course.run(second!)
    expect(rescored).toHaveLength(first!.length)
    expect(course.run(third!).rescored).toBeUndefined()
  })

  it('leaves a sample of a source that it has not seen as it is', () => {
    const shrinkage = new ScoreShrinkage()
    shrinkage.update([0.2, 0.4, 0.5, 0.6, 0.8], [0, 0, 1, 1, 1], 0.759592)
    const shrunk = scope(() => {
      const scores = tensor(Float32Array.of(0.2, 0.4, 0.5, 0.6, 0.8, 0.7), [6])
      return [...shrinkage.shrink(scores, [0, 0, 1, 1, 1, 2]).toFloat32Array()]
    })
    const expected = [0.224041, 0.375959, 0.532054, 0.608014, 0.759932, 0.7]
    for (const [i, value] of expected.entries()) expect(shrunk[i]).toBeCloseTo(value, 6)
  })

  it('changes nothing where the reliability cannot be told', () => {
    const shrinkage = new ScoreShrinkage()
    shrinkage.update([1, 2], [0, 1], 0.5)
    shrinkage.update([7, 8], [0, 1], undefined)
    expect([...shrinkage.shrinkNumbers(Float64Array.of(3), [0])]).toEqual([2])
  })

  it('is refused for anchors without halves, and where nobody knows the sources', () => {
    const start = (vectors: Vectors, tasks: string[], more: ModelEmbeddingOptions = {}) => {
      const course = new Course({ ...options, ...more }, vectors, tasks)
      return () => scope(() => course.signal.beforeStep(course.facts()))
    }
    const [a, b, c] = values.anchors['0']! as [number[], number[], number[]]
    expect(start([a], ['x'])).toThrow(expect.objectContaining({ code: 'NEEDS_ANCHORS' }))
    expect(start([a, b, c], ['x', 'x', 'y'])).not.toThrow()
    expect(start([a, b, c], ['x', 'x', 'y'], { aggregate: 'zmax' })).toThrow(
      'anchors: expected at least two for each task with aggregate: zmax',
    )
    const course = new Course(options)
    expect(() => scope(() => course.signal.beforeStep(course.states.facts([course.anchors], 0)))).toThrow(
      expect.objectContaining({ code: 'NEEDS_DATA' }),
    )
  })
})
