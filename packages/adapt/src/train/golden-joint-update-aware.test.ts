import { describe, expect, it } from 'vitest'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { batchOf, relativeDistance, type TestSample } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf } from './training-case.test.fixture.js'

interface Values {
  readonly samples: readonly number[][]
  readonly anchors: readonly number[][]
  readonly runs: readonly {
    readonly target: 'centroid' | 'rotating' | 'none'
    readonly beta: number
    readonly tau: number
    readonly iterations: number
    readonly damping: number
    readonly scores: number[]
    readonly weights: number[]
    readonly loss: number
  }[]
}

const golden = openGolden<Values>('joint-update-aware')
const { samples, anchors, runs } = golden.values
const one = (index: number): [TestSample] => [{ tokens: samples[index]!, id: `${index}`, index }]
const packed = (...indexes: number[]) => indexes.flatMap(one)

/** The same step as one micro-batch, and as three of which one is packed. */
const LAYOUTS = [
  [batchOf(samples.map((_, index) => one(index)))],
  [batchOf([one(0), one(1)]), batchOf([packed(2, 3, 4)]), batchOf([one(5), one(6)])],
]

describe.each(
  runs.map((run, i) => [i, run.target, run] as const),
)('step %d of joint-update-aware, target %s', (_, __, run) => {
  it.each([1, 3])('has the weights and the loss of a loop over samples, in %d micro-batches', (count) => {
    const { target, beta, tau, iterations, damping } = run
    using training = createCase(
      methodOf({
        preset: 'joint-update-aware',
        signal: { target },
        gate: { beta, temperature: tau, iterations, damping },
      }),
      {
        model: loadModelFolder(golden.modelFolder),
        anchors: [batchOf(anchors.map((tokens) => [{ tokens }]))],
      },
    )
    const { events, record } = training.step(LAYOUTS.find((layout) => layout.length === count)!)
    const byIndex = [...events.totals.samples].sort((a, b) => a.index - b.index)
    const column = (of: 'score' | 'weight') => byIndex.map((sample) => sample[of])
    expect(relativeDistance(column('weight'), run.weights)).toBeLessThan(golden.tolerance)
    for (const [i, score] of run.scores.entries()) expect(column('score')[i]).toBeCloseTo(score, 5)
    expect(Math.abs(record.lossWeighted - run.loss)).toBeLessThan(golden.tolerance)
    const numAnchors = { centroid: 3, rotating: 1, none: 0 }[target]
    const embedded = anchors.slice(0, numAnchors).flat().length
    const scored = count === 1 ? 0 : samples.flat().length
    expect(record.flopsSignal).toBe(2 * training.model.numParameters * (embedded + scored))
  })
})
