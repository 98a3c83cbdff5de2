import { copy_, mul, noGrad, optim, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { lookAt, NO_ARTEFACT, type OptimizerView, type StepFacts } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { addLora, type CausalLM, LORA_DEFAULTS, loadModelFolder } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  relativeDistance,
  type TestSample,
} from '../model/tiny-llama.test.fixture.js'
import { SampleGradients } from '../prepare/sample-gradients.js'
import { divisors, updateAlignment, updateFactor } from '../signal/update-alignment.js'
import { createCase, methodOf, type TrainingCase } from './training-case.test.fixture.js'

interface Values {
  readonly rate: number
  readonly beta1: number
  readonly beta2: number
  readonly updates: number
  readonly window: number
  readonly samples: readonly number[][]
  readonly anchors: readonly number[][]
  readonly runs: readonly {
    readonly part: 'whole' | 'window'
    readonly precondition: 'adamw' | 'none'
    readonly floor: number
    readonly scores: number[]
    readonly products: number[][]
    readonly picked: number[]
    /** Of update-match. */
    readonly weights: number[]
  }[]
}

const golden = openGolden<Values>('opus')
const { samples, anchors, runs, rate, beta1, beta2, updates, window } = golden.values
const SAMPLES = samples.map((tokens, index): TestSample => ({ tokens, id: `${index}`, index }))
const one = (index: number) => [SAMPLES[index]!]
const CANDIDATES = [
  batchOf([one(0), one(1), one(2), one(3)]),
  batchOf([[SAMPLES[4]!, SAMPLES[5]!, SAMPLES[6]!], one(7)]),
]
const ANCHORS = [batchOf(anchors.map((tokens) => [{ tokens }]))]

/** v = (p / 10)^2 for every parameter. */
function makeUpMoments({ trainer }: TrainingCase): void {
  const { adamw: optimizer } = trainer.optimizer
  optimizer.loadSteps(optimizer.parameters.map(() => updates))
  noGrad(() =>
    scope(() => {
      for (const parameter of optimizer.parameters) {
        copy_(optimizer.secondMoment(parameter)!.value, mul(mul(parameter, 0.1), mul(parameter, 0.1)))
      }
    }),
  )
}

describe.each(
  runs.map((run) => [run.part, run.precondition, run.floor, run] as const),
)('a step of OPUS: %s, precondition %s, floor %d', (part, precondition, floor, run) => {
  it('has the scores and the picks of a loop over samples by autograd', () => {
    const method = methodOf({
      preset: 'opus',
      signal: {
        validation: 3,
        precondition,
        ...(precondition === 'adamw' ? { floor } : {}),
        ...(part === 'window' ? { score_length: window } : {}),
      },
      gate: { kind: 'greedy', keep: 0.5 },
    })
    using training = createCase(method, {
      model: loadModelFolder(golden.modelFolder),
      anchors: ANCHORS,
      learningRate: rate,
      adamBeta1: beta1,
      adamBeta2: beta2,
      schedule: 'constant',
      layOut: (indexes) => [batchOf(indexes.map(one))],
    })
    makeUpMoments(training)
    const { events, record } = training.step(CANDIDATES)
    const byIndex = [...events.totals.samples].sort((a, b) => a.index - b.index)
    const scores = byIndex.map(({ score }) => score)
    expect(relativeDistance(scores, run.scores)).toBeLessThan(golden.tolerance)
    const kept = byIndex.filter(({ weight }) => weight > 0).map(({ index }) => index)
    expect(kept).toEqual([...run.picked].sort((a, b) => a - b))
    const longest = part === 'window' ? window : Infinity
    const scored = [...samples, ...anchors].reduce((sum, { length }) => sum + Math.min(longest, length), 0)
    expect(record.flopsSignal).toBe(6 * training.model.numParameters * scored)
    expect(record.numTokensProcessed).toBe(kept.reduce((sum, i) => sum + samples[i]!.length, 0))
  })
})

it('update-match weighs what a greedy pass keeps by least squares over all sets of samples', () => {
  const [run] = runs
  const method = methodOf({ preset: 'update-match', signal: { validation: 3 } })
  using training = createCase(method, {
    model: loadModelFolder(golden.modelFolder),
    anchors: ANCHORS,
    learningRate: rate,
    adamBeta1: beta1,
    adamBeta2: beta2,
    schedule: 'constant',
  })
  makeUpMoments(training)
  const { events } = training.step(CANDIDATES)
  const byIndex = [...events.totals.samples].sort((a, b) => a.index - b.index)
  const weights = byIndex.map(({ weight }) => weight)
  expect(relativeDistance(weights, run!.weights)).toBeLessThan(1e-3)
  expect(weights.map((weight) => weight > 0)).toEqual(run!.weights.map((weight) => weight > 0))
})

const OPTIONS = {
  validation: 3,
  anchorDraw: 'step',
  scoreLength: 512,
  precondition: 'adamw',
  floor: 1e-4,
  sketch: 0,
} as const

/** Scores and products of {@link CANDIDATES} as the signal makes them. */
function seenBy(
  model: CausalLM,
  optimizer: OptimizerView | undefined,
  options: Partial<typeof OPTIONS | { sketch: number }> = {},
) {
  const look: StepFacts['look'] = (batch) =>
    lookAt(model, batch, { autocastDtype: undefined, reference: undefined, factors: true })
  const facts = stepFacts({
    ...{ anchors: ANCHORS, learningRate: rate, look, device: model.device },
    ...(optimizer ? { optimizer } : {}),
  })
  const signal = updateAlignment.create!({ ...OPTIONS, ...options } as typeof OPTIONS, facts, NO_ARTEFACT)
  try {
    return scope(() => {
      signal.beforeStep!(facts)
      const step = CANDIDATES.map((batch) => look(batch))
      return {
        scores: step.flatMap((evidence) => [...signal.score(evidence, facts).toFloat32Array()]),
        products: [...signal.interactions!(step, facts).toFloat32Array()],
      }
    })
  } finally {
    signal.dispose!()
  }
}

describe('the products of OPUS', () => {
  const madeUp = (model: CausalLM, count = updates): OptimizerView => {
    const byName = new Map(model.namedParameters())
    return {
      ...{ beta1, beta2, epsilon: 1e-8 },
      secondMoment(name) {
        const parameter = byName.get(name)!
        return { value: mul(mul(parameter, 0.1), mul(parameter, 0.1)), updates: count }
      },
    }
  }

  it('are those of explicit gradients', () => {
    using model = loadModelFolder(golden.modelFolder)
    for (const { part, precondition, floor, scores, products } of runs) {
      if (part === 'window') continue
      const found = seenBy(model, madeUp(model), { precondition, floor } as Partial<typeof OPTIONS>)
      expect(relativeDistance(found.scores, scores)).toBeLessThan(golden.tolerance)
      expect(relativeDistance(found.products, products.flat())).toBeLessThan(golden.tolerance)
    }
  })

  it('are those of sketches on average', () => {
    using model = loadModelFolder(golden.modelFolder)
    const expected = runs[0]!
    const { scores, products } = seenBy(model, madeUp(model), { sketch: 2 ** 14 })
    expect(relativeDistance(scores, expected.scores)).toBeLessThan(golden.tolerance)
    const distance = relativeDistance(products, expected.products.flat())
    expect(distance).toBeGreaterThan(1e-6)
    expect(distance).toBeLessThan(0.05)
  })

  it('are 0 before the first update and without an optimiser', () => {
    using model = loadModelFolder(golden.modelFolder)
    for (const optimizer of [undefined, madeUp(model, 0)]) {
      const { scores, products } = seenBy(model, optimizer)
      expect([...scores, ...products].every((value) => value === 0)).toBe(true)
    }
  })

  it('are those of explicit gradients of adapters', () => {
    using model = createTinyLlama({ vocabSize: 97 })
    addLora(model, { ...LORA_DEFAULTS, r: 3, loraDropout: 0 }, 5)
    noGrad(() =>
      scope(() => {
        // As after some steps: with B = 0 no gradient reaches A.
        for (const [i, parameter] of model.trainableParameters().entries()) {
          const values = Float32Array.from({ length: parameter.numel }, (_, k) => Math.sin(k + 7 * i) / 5)
          copy_(parameter, tensor(values, [...parameter.shape]))
        }
      }),
    )
    const optimizer = madeUp(model)
    const nameOf = new Map(Array.from(model.namedParameters(), ([name, parameter]) => [parameter, name]))
    const explicit = scope(() => {
      using gradients = new SampleGradients(model)
      const order = optim.decayGroups(model.trainableParameters(), 0).flatMap(({ parameters }) => parameters)
      const scale = order.flatMap((parameter) => {
        const factor = updateFactor(optimizer, updates, rate) / Math.sqrt(parameter.numel)
        const { value } = optimizer.secondMoment(nameOf.get(parameter)!)!
        return Array.from(divisors(value, OPTIONS.floor, 1e-8).toFloat32Array(), (d) => d * factor)
      })
      const of = (tokens: readonly number[]) => [...gradients.of(batchOf([[{ tokens }]])).toFloat32Array()]
      const all = samples.map(of)
      const target = anchors.map(of).reduce(
        (sum, g) => sum.map((x, i) => x + g[i]! / anchors.length),
        scale.map(() => 0),
      )
      const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
      const moved = all.map((g) => g.map((x, i) => x * scale[i]!))
      return {
        scores: moved.map((u) => dot(u, target)),
        products: moved.flatMap((u) => moved.map((w) => dot(u, w))),
      }
    })
    const found = seenBy(model, optimizer)
    expect(relativeDistance(found.scores, explicit.scores)).toBeLessThan(1e-4)
    expect(relativeDistance(found.products, explicit.products)).toBeLessThan(1e-4)
  })
})
