import { describe, expect, it } from 'vitest'
import type { StepFacts, StepOutcome } from '../method/contract.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { curveSlope, fitPlan, followSlopes, raised, updateRead } from './ado.js'

const close = (received: readonly number[], expected: readonly number[], digits = 6) => {
  for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, digits)
}

describe('the policy', () => {
  it('gives the worked numbers', () => {
    const policy = followSlopes(
      { shares: [0, 0, 0], mean: [0.58, 0.32, 0.1], read: [0.55, 0.35, 0.1] },
      [7.5981e-8, 1.06731e-7, 6.8235e-7],
      [0.6, 0.3, 0.1],
      1000,
    )
    close(policy.shares, [0.567485, 0.313485, 0.11903])
    close(policy.mean, [0.579875, 0.319935, 0.10019])
    const preference = policy.shares.map((p, i) => (p - 0.9 * [0.58, 0.32, 0.1][i]!) / 0.1)
    close(preference, [0.454855, 0.254848, 0.290297], 5)
    close(updateRead([0.55, 0.35, 0.1], [0.5, 0.3, 0.2]), [0.545, 0.345, 0.11])
    close(raised([0.95, 0.049, 0.001]), [0.941526, 0.048563, 0.009911])
  })
})

interface AdoGolden {
  readonly config: {
    readonly natural: readonly number[]
    readonly every: number
    readonly start: number
    readonly ignore: number
  }
  readonly steps: readonly {
    readonly step: number
    readonly finite: boolean
    readonly samples: readonly (readonly [source: number, labels: number, loss: number])[]
  }[]
  readonly shares: readonly (readonly number[])[]
}

const GOLDEN = openGolden<AdoGolden>('ado').values
const { natural, every, start, ignore } = GOLDEN.config

/** A gate on the golden steps: the index of a sample is its place in all of them. */
function gateOf(totalSteps = 600) {
  const all = GOLDEN.steps.flatMap(({ samples }) => samples)
  return curveSlope.create(
    { constants: 'scaled', fitEvery: every, startStep: start, ignoreSteps: ignore },
    {
      ...{ totalSteps, stepsPerEpoch: 1, seed: 0, isPlainText: true },
      data: {
        numSamples: all.length,
        sources: ['a', 'b', 'none', 'c'],
        sourceIndex: (index) => all[index]![0],
        length: (index) => all[index]![1],
        drawShares: () => Float64Array.from(natural),
      },
    },
  )
}

let first = 0
const OUTCOMES: readonly StepOutcome[] = GOLDEN.steps.map(({ step, finite, samples }) => {
  const index = Float64Array.from(samples, (_, i) => first + i)
  first += samples.length
  return {
    step,
    wasFinite: finite,
    samples: {
      index,
      labels: Float64Array.from(samples, ([, labels]) => labels),
      loss: Float64Array.from(samples, ([, , loss]) => loss),
      score: new Float64Array(samples.length),
      weight: new Float64Array(samples.length).fill(1),
    },
  }
})
const NOT_USED = {} as StepFacts

describe('the curve-slope gate', () => {
  it('has the shares of the reference after every step, with a source that is empty and a step that was not finite', () => {
    const gate = gateOf()
    for (const [i, outcome] of OUTCOMES.entries()) {
      gate.observe!(outcome, NOT_USED)
      // Two searches end at different places of a flat valley.
      for (const [g, share] of gate.shares!().entries())
        expect(Math.abs(share - GOLDEN.shares[i]![g]!)).toBeLessThan(3e-3)
    }
    const events = gate.takeEvents!()
    expect(events.filter(({ kind }) => kind === 'curves').map(({ step }) => step)).toEqual([40, 60])
    // Twenty steps too few for a fit, and one that was not finite, before the first policy.
    expect(events.find(({ kind }) => kind === 'policy')!.step).toBe(40)
    expect(Object.keys(events.at(-1)!.fields.shares as object)).toEqual(['a', 'b', 'c'])
    expect(gate.takeEvents!()).toEqual([])
  })

  it('goes on exactly from a saved state, before the first fit and behind it', () => {
    for (const at of [10, 39, 47, 60]) {
      const [whole, half] = [gateOf(), gateOf()]
      for (const outcome of OUTCOMES.slice(0, at)) whole.observe!(outcome, NOT_USED)
      half.load!({ json: JSON.parse(JSON.stringify(whole.state!().json)), tensors: new Map() })
      for (const outcome of OUTCOMES.slice(at)) {
        whole.observe!(outcome, NOT_USED)
        half.observe!(outcome, NOT_USED)
      }
      expect(half.state!()).toEqual(whole.state!())
      expect([...half.shares!()]).toEqual([...whole.shares!()])
    }
  })

  it('changes nothing in a step that was not finite', () => {
    const gate = gateOf()
    for (const outcome of OUTCOMES.slice(0, 45)) gate.observe!(outcome, NOT_USED)
    const before = JSON.stringify(gate.state!().json)
    gate.observe!({ ...OUTCOMES[45]!, wasFinite: false }, NOT_USED)
    expect(JSON.stringify(gate.state!().json)).toBe(before)
  })

  it('has the steps of the source, or as large a part of the run, but no curve through a handful of losses', () => {
    const auto = { fitEvery: 'auto', startStep: 'auto', ignoreSteps: 'auto' } as const
    const planOf = (constants: string, totalSteps: number) => fitPlan({ constants, ...auto }, totalSteps)
    const paper = { every: 1000, start: 1000, ignore: 1000, window: 101, stride: 10 }
    expect(planOf('paper', 500)).toEqual(paper)
    expect(planOf('scaled', 60_000)).toEqual(paper)
    expect(planOf('scaled', Number.POSITIVE_INFINITY)).toEqual(paper)
    expect(planOf('scaled', 6000)).toEqual({ every: 100, start: 100, ignore: 100, window: 11, stride: 1 })
    expect(planOf('scaled', 300)).toEqual({ every: 20, start: 20, ignore: 20, window: 5, stride: 1 })
  })
})
