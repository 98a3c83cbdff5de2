import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { StepFacts, StepOutcome } from '../method/contract.js'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  alignment,
  clipFactors,
  initialAlignedWeights,
  meanAlpha,
  type SourceProducts,
  scaledProducts,
  sourceAlignment,
  sourceProducts,
  updateAligned,
} from './source-alignment.js'

type Rows = readonly (readonly number[])[]
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, k) => sum + x * b[k]!, 0)
const productsOf = (gradients: Rows): SourceProducts => gradients.map((a) => gradients.map((b) => dot(a, b)))
const close = (received: readonly (number | undefined)[], expected: readonly number[], digits = 6) => {
  for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, digits)
}

const WORKED = productsOf([
  [1, 0, 0.5],
  [0.2, 0.8, 0],
  [-0.3, 0.4, 0.1],
])
const ALL = [0, 1, 2]
const STEP = { learningRate: 5e-4, mu: 0.05, mostScore: 5, smoothing: 0 }

describe('the weights of sources', () => {
  it('are the worked numbers, with and without the division by the mean norm', () => {
    close(alignment(WORKED, ALL, false), [1.2, 1.14, 0.27])
    const scores = alignment(WORKED, ALL, true)
    close(
      scores.map((s) => s! * 5e-4),
      [7.339e-4, 6.972e-4, 1.651e-4],
    )
    const first = initialAlignedWeights(3)
    close(updateAligned(first, scores, STEP).alpha, [0.334677, 0.334432, 0.330891])
    close(updateAligned(first, scores, { ...STEP, mu: 0.01 }).alpha, [0.340015, 0.33877, 0.321215])
    close(updateAligned(first, alignment(WORKED, ALL, false), STEP).alpha, [0.334432, 0.334232, 0.331336])
  })

  it('grow with what a source does for the targets that are named', () => {
    close(alignment(WORKED, [2], false), [-0.25, 0.26, 0.26])
    const { alpha } = updateAligned(initialAlignedWeights(3), alignment(WORKED, [2], false), STEP)
    // Below 0 counts as 0: the source falls behind, and no further.
    expect(alpha[0]).toBeLessThan(alpha[1]!)
    expect(updateAligned(initialAlignedWeights(3), [-9, 0, 0], STEP).alpha).toEqual([1 / 3, 1 / 3, 1 / 3])
  })

  it('come from gradients of the norm that is allowed, at most', () => {
    const factors = clipFactors(WORKED, 0.6)
    const norms = scaledProducts(WORKED, factors).map((row, j) => Math.sqrt(row![j]!))
    close(norms, [0.6, 0.6, 0.509902])
    expect(clipFactors(WORKED, 0.6)[2]).toBe(1)
  })

  it('keep the score of a source that is not in the step, and average over the steps', () => {
    const one = updateAligned(initialAlignedWeights(2), [1, 2], STEP)
    const two = updateAligned(one, [undefined, 2], STEP)
    expect(two).toEqual(updateAligned(one, [1, 2], STEP))
    close(meanAlpha(two), [(one.alpha[0]! + two.alpha[0]!) / 2], 12)
    expect(meanAlpha(initialAlignedWeights(4))).toEqual([0.25, 0.25, 0.25, 0.25])
  })

  it('are made of the products of samples, each by its labels', () => {
    const gradients = [
      [1, 0],
      [0, 2],
      [3, 1],
    ]
    const products = productsOf(gradients).flatMap((row) => [...row!])
    const found = sourceProducts(products, [3, 1, 5], [0, 0, 2], 3)
    const mean = [0.75, 0.5]
    close(found[0]!, [dot(mean, mean), 0, dot(mean, [3, 1])])
    expect(found[1]).toBeUndefined()
    close(found[2]!, [dot(mean, [3, 1]), 0, 10])
  })
})

interface DogeGolden {
  readonly config: {
    readonly mu: number
    readonly clip: number
    readonly mostScore: number
    readonly smoothing: number
  }
  readonly steps: readonly {
    readonly source: readonly number[]
    readonly labels: readonly number[]
    readonly gradients: Rows
    readonly rate: number
  }[]
  readonly results: Readonly<
    Record<
      'all' | 'last',
      readonly {
        readonly alpha: readonly number[]
        readonly mean: readonly number[]
        readonly direction: readonly number[]
      }[]
    >
  >
}
const GOLDEN = openGolden<DogeGolden>('doge').values
/** Places of the golden sources among those of the data. */
const PLACES = [0, 1, 3]

const gateOf = (targets: readonly string[] = []) =>
  sourceAlignment.create(
    { ...GOLDEN.config, byMeanNorm: true, targets },
    {
      ...{ totalSteps: 8, stepsPerEpoch: 1, seed: 0, isPlainText: true },
      data: {
        ...{ numSamples: 9, sources: ['a', 'b', 'none', 'c'], sourceIndex: () => 0, length: () => 1 },
        drawShares: () => Float64Array.of(0.5, 0.3, 0, 0.2),
      },
    },
  )
const outcome = (step: number, wasFinite = true) => ({ step, wasFinite }) as StepOutcome
const NOT_USED = {} as StepFacts

/** Weights of a golden step. */
const weigh = (
  gate: ReturnType<typeof gateOf>,
  { source, labels, gradients, rate }: DogeGolden['steps'][number],
) =>
  scope(() => {
    const size = source.length
    return [
      ...gate
        .weights(
          {
            score: tensor(new Float32Array(size), [size]),
            index: [...source.keys()],
            source: Uint16Array.from(source, (s) => PLACES[s]!),
            labels: Float64Array.from(labels),
            interactions: tensor(Float32Array.from(productsOf(gradients).flatMap((row) => [...row!])), [
              size,
              size,
            ]),
          },
          { learningRate: rate } as StepFacts,
        )
        .toFloat32Array(),
    ]
  })

describe('the source-alignment gate', () => {
  it.each([
    ['all', []],
    ['last', ['c']],
  ] as const)('has the weights, the mean and the direction of the reference: targets %s', (name, targets) => {
    const gate = gateOf(targets)
    for (const [i, step] of GOLDEN.steps.entries()) {
      const expected = GOLDEN.results[name][i]!
      const weights = weigh(gate, step)
      const total = step.labels.reduce((a, b) => a + b, 0)
      // What `token.mean` makes of the gradients of the samples.
      const direction = expected.direction.map((_, k) =>
        weights.reduce((sum, w, a) => sum + (w * step.labels[a]! * step.gradients[a]![k]!) / total, 0),
      )
      close(direction, expected.direction, 5)
      gate.observe!(outcome(i + 1), NOT_USED)
      const fields = gate.takeEvents!()[0]!.fields as Readonly<Record<string, Record<string, number>>>
      close(Object.values(fields.shares!), expected.alpha)
      close(Object.values(fields.mean!), expected.mean)
      expect(Object.keys(fields.shares!)).toEqual(['a', 'b', 'c'])
    }
  })

  it('learns nothing from a step that was not finite, and goes on from a saved state', () => {
    const [gate, other] = [gateOf(), gateOf()]
    weigh(gate, GOLDEN.steps[0]!)
    gate.observe!(outcome(1, false), NOT_USED)
    expect(gate.state!()).toEqual(other.state!())
    for (const [i, step] of GOLDEN.steps.slice(0, 4).entries()) {
      weigh(gate, step)
      gate.observe!(outcome(i + 1), NOT_USED)
    }
    other.load!({ json: JSON.parse(JSON.stringify(gate.state!().json)), tensors: new Map() })
    expect(weigh(other, GOLDEN.steps[4]!)).toEqual(weigh(gate, GOLDEN.steps[4]!))
  })

  it('refuses a target that the data does not have', () => {
    expect(() => gateOf(['web'])).toThrow('method.gate.targets: the data has no source "web"')
  })
})
