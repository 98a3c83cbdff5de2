import { distributed, scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { lookAt } from '../method/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { batchOf, relativeDistance, type TestSample } from '../model/tiny-llama.test.fixture.js'
import { drawAnchors } from '../signal/draw-anchors.js'
import { stepProducts } from '../signal/step-products.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

interface Values {
  readonly samples: readonly { readonly tokens: number[]; readonly prompt: number }[]
  readonly anchors: readonly number[][]
  readonly runs: readonly {
    readonly eta: number
    readonly scores: number[]
    readonly products: number[][]
    readonly picked: number[]
  }[]
}

const golden = openGolden<Values>('greats')
const { samples, anchors, runs } = golden.values
const SAMPLES = samples.map(
  ({ tokens, prompt }, index): TestSample => ({
    tokens,
    labelsFrom: Math.max(1, prompt),
    id: `${index}`,
    index,
  }),
)
const one = (index: number) => [SAMPLES[index]!]

/** Candidates of a step: four a row of one, and three packed. */
const CANDIDATES = [
  batchOf([one(0), one(1), one(2), one(3)]),
  batchOf([[SAMPLES[4]!, SAMPLES[5]!, SAMPLES[6]!], one(7)]),
]

describe.each(runs.map((run) => [run.eta, run] as const))('a step of GREATS at a rate of %d', (eta, run) => {
  it('has the scores and the picks of a loop over samples by autograd', () => {
    using training = createCase(methodOf({ preset: 'greats' }), {
      model: loadModelFolder(golden.modelFolder),
      anchors: [batchOf(anchors.map((tokens) => [{ tokens }]))],
      learningRate: eta,
      schedule: 'constant',
      layOut: (indexes) => [batchOf(indexes.map(one))],
    })
    const { events, record } = training.step(CANDIDATES)
    const byIndex = [...events.totals.samples].sort((a, b) => a.index - b.index)
    expect(
      relativeDistance(
        byIndex.map(({ score }) => score),
        run.scores,
      ),
    ).toBeLessThan(golden.tolerance)
    const kept = byIndex.filter(({ weight }) => weight > 0).map(({ index }) => index)
    expect(kept).toEqual([...run.picked].sort((a, b) => a - b))
    expect(record.numTokensProcessed).toBe(kept.reduce((sum, i) => sum + samples[i]!.tokens.length, 0))
    const params = training.model.numParameters
    const scored = [...samples.map(({ tokens }) => tokens), ...anchors].flat().length
    expect(record.flopsSignal).toBe(6 * params * scored)
  })
})

describe('products of samples', () => {
  const model = () => loadModelFolder(golden.modelFolder)
  const expected = runs[0]!.products.flat().map((j) => j / runs[0]!.eta ** 2)

  it('are those of explicit gradients, over all micro-batches of a step', () => {
    using training = createCase(methodOf({ preset: 'uniform' }), { model: model() })
    scope(() => {
      const options = { autocastDtype: undefined, reference: undefined, factors: true }
      const step = CANDIDATES.map((batch) => lookAt(training.model, batch, options))
      const facts = { collective: distributed.singleProcess, device: training.model.device }
      for (const way of ['positions', 'explicit'] as const) {
        const products = stepProducts(step, facts, { way, blockSize: 5000 }).toFloat32Array()
        expect(relativeDistance(products, expected)).toBeLessThan(golden.tolerance)
      }
    })
  })
})

describe('the anchors of a step', () => {
  const prompt: TestSample = { tokens: [5, 6], labelsFrom: 2 }
  const five = [batchOf([one(0), [prompt], one(1)]), batchOf([one(2), one(3)])]
  const draw = (step: number, count: number, seed = 3) => drawAnchors({ anchors: five, seed, step }, count)

  it('are drawn anew in every step, each once, by seed and step alone', () => {
    const draws = Array.from({ length: 40 }, (_, step) => draw(step, 2))
    for (const places of draws) expect(new Set(places).size).toBe(2)
    expect([...new Set(draws.flat())].sort()).toEqual([0, 2, 3, 4])
    expect(draws).toEqual(Array.from({ length: 40 }, (_, step) => draw(step, 2)))
    expect(draws).not.toEqual(Array.from({ length: 40 }, (_, step) => draw(step, 2, 4)))
  })

  it('are all that have labels where more are asked for, and at least one', () => {
    expect(draw(0, 9).sort()).toEqual([0, 2, 3, 4])
    expect(() => drawAnchors({ anchors: [batchOf([[prompt]])], seed: 1, step: 0 }, 2)).toThrow(
      expect.objectContaining({ code: 'NO_ANCHORS' }),
    )
  })
})
