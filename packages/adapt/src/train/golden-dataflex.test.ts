import { describe, expect, it } from 'vitest'
import { createMethod } from '../catalog/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { batchOf, gradientValues, relativeDistance, wholeDistance } from '../model/tiny-llama.test.fixture.js'
import { createCase } from './training-case.test.fixture.js'

interface Values {
  readonly steps: readonly (readonly { readonly tokens: number[]; readonly prompt: number }[])[]
  readonly anchors: readonly number[][]
  readonly records: readonly {
    readonly loss: number
    readonly gradNorm: number
    readonly scores: readonly number[]
    readonly weights: readonly number[]
  }[]
}

const golden = openGolden<Values>('dataflex')
const { steps, anchors, records } = golden.values

/** Its steps in micro-batches of `rows` of ours. */
function trainedIn(rows: number) {
  const method = createMethod({
    preset: 'dataflex',
    signal: { refreshEvery: 2 },
    gate: { temperature: 0.5, wMax: 0.7, warmupSteps: 1, accumulation: 2, world: 2 },
  })
  using training = createCase(method, {
    model: loadModelFolder(golden.modelFolder),
    anchors: [batchOf(anchors.map((tokens) => [{ tokens }]))],
    totalSteps: 1000,
    schedule: 'constant',
    learningRate: 3e-3,
    weightDecay: 0,
    adamBeta2: 0.95,
    adamEpsilon: 1e-3,
    maxGradNorm: undefined,
  })
  return steps.map((samples) => {
    const batches = []
    for (let start = 0; start < samples.length; start += rows) {
      const cut = samples.slice(start, start + rows)
      batches.push(batchOf(cut.map(({ tokens, prompt }) => [{ tokens, labelsFrom: Math.max(prompt, 1) }])))
    }
    const { record, events } = training.step(batches)
    const refreshes = events.method.filter(({ kind }) => kind === 'refresh').length
    return { record, samples: events.totals.samples, refreshes, gradients: gradientValues(training.model) }
  })
}

describe.each([
  8, 2, 1,
])('DataFlex in 2 micro-batches of 2 rows on 2 ranks, here in micro-batches of %d rows', (rows) => {
  const trained = trainedIn(rows)

  it('has its weights, losses and gradients to one part in a million at the first steps', () => {
    for (const step of [0, 1]) {
      const { record, samples, gradients } = trained[step]!
      const { loss, gradNorm, weights } = records[step]!
      expect(relativeDistance([record.lossWeighted, record.gradNorm], [loss, gradNorm])).toBeLessThan(1e-6)
      expect(wholeDistance(gradients, golden.all(`step${step}.`))).toBeLessThan(1e-6)
      const expected = weights.length > 0 ? weights : samples.map(() => 1)
      expect(
        relativeDistance(
          samples.map(({ weight }) => weight),
          expected,
        ),
      ).toBeLessThan(1e-6)
    }
  })

  it('stays with it where anchors are embedded again', () => {
    for (const [step, { record, samples }] of trained.entries()) {
      const { loss, gradNorm, scores, weights } = records[step]!
      expect(relativeDistance([record.lossWeighted, record.gradNorm], [loss, gradNorm])).toBeLessThan(1e-5)
      if (weights.length === 0) continue
      expect(
        relativeDistance(
          samples.map(({ score }) => score),
          scores,
        ),
      ).toBeLessThan(1e-5)
      expect(
        relativeDistance(
          samples.map(({ weight }) => weight),
          weights,
        ),
      ).toBeLessThan(1e-5)
    }
    expect(wholeDistance(trained.at(-1)!.gradients, golden.all('step4.'))).toBeLessThan(1e-5)
  })

  it('embeds them once a refresh, and in no step of the warm-up', () => {
    expect(trained.map(({ refreshes }) => refreshes)).toEqual([0, 1, 1, 0, 1])
  })
})
