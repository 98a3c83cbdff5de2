import { describe, expect, it } from 'vitest'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { dataflexGate } from './dataflex-gate.js'

const SCORES = [0.82, 0.1, -0.35, 0.55]
const LOSSES = [2, 3, 1.5, 2.5]
const LABELS = [10, 2, 6, 4]
const DEFAULTS = { temperature: 1, wMax: 1, warmupSteps: 0, accumulation: 'run', world: 'run' } as const
type Options = Parameters<typeof dataflexGate.create>[0]

/** The loss of a step of these four samples. */
function lossOf(options: Partial<Options>, step = 0): number {
  const gate = dataflexGate.create({ ...DEFAULTS, ...options }, stepFacts())
  const facts = stepFacts({ step })
  const { unit, z } = gate.divisor!(
    LABELS.reduce((sum, n) => sum + n),
    facts,
  )!
  const weights = weigh(gate, SCORES, { facts })
  const terms = weights.map((w, i) => w * LOSSES[i]! * (unit === 'token' ? LABELS[i]! : 1))
  return terms.reduce((sum, term) => sum + term) / z
}

describe('the gate of DataFlex', () => {
  it.each([
    { accumulation: 4, world: 1, expected: 1.292206 },
    { accumulation: 2, world: 2, expected: 1.292206 },
    { accumulation: 2, world: 1, expected: 2.584411 },
    { accumulation: 1, world: 2, expected: 2.584411 },
    { accumulation: 1, world: 1, expected: 5.168823 },
  ])('sums over $accumulation micro-batches on $world ranks to $expected', ({ expected, ...of }) => {
    expect(lossOf(of)).toBeCloseTo(expected, 5)
  })

  it.each([
    [1, 2.045455],
    [2, 1.022727],
    [4, 0.511364],
  ])('divides the token mean of a warm-up once more by %d: %d', (accumulation, expected) => {
    const options = { accumulation, world: 3, warmupSteps: 2 }
    expect(lossOf(options, 1)).toBeCloseTo(expected, 6)
    // With all micro-batches on one rank the loss grows by the same factor in every layout.
    const jump = lossOf({ ...options, world: 1 }, 2) / lossOf(options, 1)
    expect(jump).toBeCloseTo(2.52698, 5)
  })

  it('clips from above alone', () => {
    const gate = dataflexGate.create({ ...DEFAULTS, wMax: 0.6 }, stepFacts())
    for (const [i, weight] of weigh(gate, SCORES).entries())
      expect(weight).toBeCloseTo([0.6, 0.524979, 0.413382, 0.6][i]!, 6)
  })

  it('takes the constants of the run where none are given, and 1 where no run says', () => {
    const zOf = (facts: Parameters<typeof dataflexGate.create>[1], options: Partial<Options> = {}) =>
      dataflexGate.create({ ...DEFAULTS, ...options }, facts).divisor!(9, stepFacts())!.z
    const run = stepFacts({ layout: { accumulation: 4, worldSize: 2 } })
    expect([zOf(run), zOf(run, { accumulation: 16 }), zOf(run, { world: 8 }), zOf(stepFacts())]).toEqual([
      8, 32, 32, 1,
    ])
  })
})
