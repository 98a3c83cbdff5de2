import { scope, type Tensor } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { lookAt, type Method, type PluginState } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { batchOf, createTinyLlama, createTokens, type TestSample } from '../model/tiny-llama.test.fixture.js'
import { createMethod } from './create-method.js'
import type { GateConfig, MethodInput } from './method-config.js'
import { resolveMethod } from './resolve-method.js'

const model = createTinyLlama()
afterAll(() => model.dispose())

const draw = createTokens(21)
const SAMPLES: readonly TestSample[] = [6, 3, 9, 3, 5, 4, 7].map((length, i) => ({
  tokens: draw(length),
  labelsFrom: 1 + (i % 2),
  id: `sample-${i}`,
  index: i,
  source: i % 3 === 0 ? 'a' : 'b',
}))
const UNLABELLED: TestSample = { tokens: draw(4), labelsFrom: 4, id: 'unlabelled', index: 7 }
const ALL = [...SAMPLES, UNLABELLED]
/** What controls ask of the training data. */
const dataset = {
  numSamples: ALL.length,
  sources: ['a', 'b', 's'],
  sourceIndex: (index: number) => ['a', 'b', 's'].indexOf(ALL[index]!.source ?? 's'),
  length: (index: number) => ALL[index]!.tokens.length,
}
const anchors = [
  batchOf(
    [5, 3, 8].map((length, i) => [
      { tokens: draw(length), id: `a-${i}`, source: i === 1 ? 'code' : 'prose' },
    ]),
  ),
]

/** As the trainer looks for a method: gradients of single samples take most of the time, and few methods read them. */
const lookFor =
  ({ needs }: Method) =>
  (batch: Batch) =>
    lookAt(model, batch, {
      autocastDtype: undefined,
      reference: undefined,
      factors: needs.factors ?? false,
    })

/** Signals and gates for the loss of samples, with options that change their course. */
const SIGNALS: Readonly<Record<string, readonly MethodInput['signal'][]>> = {
  constant: [{ kind: 'constant' }],
  random: [{ kind: 'random' }],
  source: [{ kind: 'source', table: { a: 0.25 }, default: 0.75 }],
  'ghost-alignment': [{ kind: 'ghost-alignment', validation: 2 }],
  'model-embedding': [
    { kind: 'model-embedding', refresh_every: 2 },
    { kind: 'model-embedding', refresh_every: 2, center: true, pooling: 'mean' },
    {
      kind: 'model-embedding',
      pooling: 'last',
      tokens: 'response_only',
      centroid_ema: 0.5,
      score_eval: true,
    },
    {
      kind: 'model-embedding',
      refresh: 'adaptive',
      probe_every: 1,
      refresh_min: 1,
      refresh_max: 3,
      drift: 1e-9,
    },
    { kind: 'model-embedding', refresh: 'rolling', refresh_every: 5, center: true },
    { kind: 'model-embedding', aggregate: 'macro', refresh: 'rolling', refresh_every: 2 },
    { kind: 'model-embedding', aggregate: 'max', refresh_every: 2 },
    { kind: 'model-embedding', aggregate: 'lse', lse_beta: 5, center: true, refresh_every: 2 },
    { kind: 'model-embedding', aggregate: 'zmax', refresh_every: 3 },
    { kind: 'model-embedding', aggregate: 'zmax', center: true, refresh: 'rolling', refresh_every: 3 },
  ],
}
const GATES = {
  identity: { kind: 'identity' },
  linear: { kind: 'linear', offset: 0.5, slope: 0.5 },
  sigmoid: { kind: 'sigmoid', temperature: 0.1 },
  softmax: { kind: 'softmax', temperature: 0.1 },
  'calibrated-sigmoid': { kind: 'calibrated-sigmoid', ess: 0.8, warmup_ratio: 0.2, update_every: 2 },
} as const satisfies Partial<Record<GateConfig['kind'], MethodInput['gate']>>

/** A method and the optimiser steps it has seen. */
class Course {
  readonly method: Method
  step = 0

  constructor(input: MethodInput) {
    const config = resolveMethod(input, (path, message) => {
      throw new Error(`${path.join('.')}: ${message}`)
    })
    this.method = createMethod(config, {
      totalSteps: 10,
      stepsPerEpoch: 5,
      isPlainText: true,
      seed: 5,
      dataset,
    })
  }

  /** One optimiser step: scores and weights by sample id. */
  run(batches: readonly Batch[]) {
    const { method } = this
    const look = lookFor(method)
    const tools = stepFacts({ anchors, look, step: this.step, device: model.device })
    return scope(() => {
      method.beforeStep(tools)
      const plan = method.plan(batches, tools)
      expect([plan.batches, plan.dropped]).toEqual([batches, []])
      const tensors: Tensor[] = []
      const found = batches.flatMap((batch, i) => {
        const { score_S, weight_S } = plan.weigh(i, look(batch))
        tensors.push(score_S, weight_S)
        expect([score_S.shape, weight_S.shape]).toEqual([[batch.samples.length], [batch.samples.length]])
        const scores = score_S.toFloat32Array()
        const weights = weight_S.toFloat32Array()
        return batch.samples.map((sample, s) => ({ sample, score: scores[s]!, weight: weights[s]! }))
      })
      expect(tensors.some((tensor) => tensor.requiresGrad)).toBe(false)
      for (const { score, weight } of found) {
        expect(Number.isFinite(score)).toBe(true)
        expect(Number.isFinite(weight) && weight >= 0).toBe(true)
      }
      this.step += 1
      const labelled = found.filter(({ sample }) => sample.numLabels > 0)
      const column = (of: (row: (typeof found)[number]) => number) => Float64Array.from(labelled, of)
      const samples = {
        index: column(({ sample }) => sample.index),
        labels: column(({ sample }) => sample.numLabels),
        score: column(({ score }) => score),
        weight: column(({ weight }) => weight),
        loss: column(() => 1),
      }
      method.observe({ step: this.step, wasFinite: true, samples }, tools)
      return new Map(found.map(({ sample, weight }) => [sample.id, weight]))
    })
  }
}

const past = [
  batchOf(SAMPLES.slice(0, 4).map((sample) => [sample])),
  batchOf(SAMPLES.slice(4).map((sample) => [sample])),
]
const COMBINATIONS = Object.values(SIGNALS)
  .flat()
  .flatMap((signal) => Object.values(GATES).map((gate) => ({ signal: signal!, gate: gate! })))
const CONTROLS = [{ shuffle: true }, { collapse: 'source' }] as const
const CONTROLLED = (['sigmoid', 'softmax', 'calibrated-sigmoid'] as const).flatMap((kind) =>
  CONTROLS.map((control) => ({ signal: SIGNALS['model-embedding']![1]!, gate: GATES[kind]!, ...control })),
)

describe.each<MethodInput>([
  ...COMBINATIONS,
  ...CONTROLLED,
  ...(['smoothed', 'paper', 'exp3'] as const).map(
    (variant) => ({ preset: 'odm', gate: { kind: 'bandit', variant, warmup_steps: 1 } }) as const,
  ),
])('$signal with $gate, shuffle: $shuffle, collapse: $collapse', (input) => {
  const started = () => {
    const course = new Course(input)
    for (let n = 0; n < 4; n++) course.run(past)
    return course
  }
  const near = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>) => {
    expect([...a.keys()].sort()).toEqual([...b.keys()].sort())
    for (const [id, weight] of b) expect(Math.abs(a.get(id)! - weight)).toBeLessThan(1e-5)
  }

  it('gives one finite weight >= 0 a sample, without gradient, from the first step on', () => {
    const course = new Course(input)
    for (let n = 0; n < 6; n++) expect(course.run(past).size).toBe(SAMPLES.length)
  })

  it('gives the same weights again in a second run', () => {
    expect(started().run(past)).toEqual(started().run(past))
  })

  it('weighs one sample alone, one without labels, and an empty step', () => {
    expect(
      started()
        .run([batchOf([[SAMPLES[0]!]])])
        .get('sample-0'),
    ).toBeGreaterThanOrEqual(0)
    started().run([batchOf([[UNLABELLED]])])
    expect(started().run([]).size).toBe(0)
  })

  it('does not let a sample without labels change the weights of the others', () => {
    const found = started().run([...past, batchOf([[UNLABELLED]])])
    found.delete('unlabelled')
    near(found, started().run(past))
  })

  it('does not see the order of samples or how they are cut into micro-batches', () => {
    const reversed = [batchOf([...SAMPLES].reverse().map((sample) => [sample]))]
    near(started().run(reversed), started().run(past))
    const packed = [batchOf([SAMPLES.slice(0, 3), SAMPLES.slice(3)], { packing: true, maxLength: 21 })]
    near(started().run(packed), started().run(past))
  })

  it('continues from its state as if it had not been interrupted', () => {
    const course = started()
    const resumed = new Course(input)
    const { json, tensors } = course.method.state()
    resumed.method.load({ json: JSON.parse(JSON.stringify(json)) as PluginState['json'], tensors })
    resumed.step = course.step
    for (let n = 0; n < 4; n++) expect(resumed.run(past)).toEqual(course.run(past))
    course.method[Symbol.dispose]()
    expect(resumed.run(past).size).toBe(SAMPLES.length)
  })
})

describe('a gate over the whole step', () => {
  it('gives samples without labels weight 0 and the others a mean of 1', () => {
    const course = new Course({
      signal: { kind: 'model-embedding' },
      gate: { kind: 'softmax', temperature: 0.1 },
    })
    const weights = course.run([...past, batchOf([[UNLABELLED]])])
    expect(weights.get('unlabelled')).toBe(0)
    weights.delete('unlabelled')
    expect([...weights.values()].reduce((a, b) => a + b) / SAMPLES.length).toBeCloseTo(1, 5)
  })
})
