import { describe, expect, it } from 'vitest'
import type { StepFacts, StepOutcome } from '../method/contract.js'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  bandit,
  explorationAt,
  initialPolicy,
  POLICY_VARIANTS,
  type PolicyVariant,
  updatePolicy,
} from './odm.js'

const SHARES = [0.5, 0.3, 0.2]
const LOSS = [2, 2.5, 3]

const after = (variant: PolicyVariant, losses: readonly (readonly (number | undefined)[])[], first = 2001) =>
  losses.reduce(
    (policy, loss, i) => updatePolicy(policy, loss, { variant, decay: 0.9, step: first + i }),
    initialPolicy(SHARES),
  )

const close = (received: readonly number[], expected: readonly number[]) => {
  for (const [i, value] of expected.entries()) expect(Math.abs(received[i]! - value)).toBeLessThan(1e-6)
}

describe('updatePolicy', () => {
  it('gives the worked numbers of each variant', () => {
    expect(explorationAt(2001, 3)).toBeCloseTo(0.013528, 6)
    const smoothed = after('smoothed', [LOSS])
    close(smoothed.rewards, [0.738906, 1.218249, 2.008554])
    close(smoothed.shares, [0.19229, 0.308257, 0.499453])
    const paper = after('paper', [LOSS])
    close(paper.rewards, [0.4, 0.833333, 1.5])
    close(paper.shares, [0.280157, 0.321591, 0.398252])
    const second = after('paper', [LOSS, LOSS])
    close(second.rewards, [1.073885, 1.527385, 2.103292])
    close(second.shares, [0.331197, 0.333152, 0.335652])
    close(after('exp3', [LOSS, LOSS]).shares, [0.330976, 0.333117, 0.335907])
  })

  it('gives the worked numbers of DataFlex, where one source is rewarded at a time', () => {
    const options = { variant: 'dataflex', decay: 0.9 } as const
    const first = updatePolicy(initialPolicy(SHARES), [2, undefined, undefined], { ...options, step: 10 })
    expect([first.rewards[0], first.exploration].map((x) => x!.toFixed(6))).toEqual(['6.000000', '0.191365'])
    close(first.shares, [0.526547, 0.236727, 0.236727])
    const second = updatePolicy(first, [undefined, undefined, 3], { ...options, step: 20 })
    close(second.rewards, [6, 0, 19.009272])
    expect(second.exploration).toBeCloseTo(0.135315, 6)
    close(second.shares, [0.179738, 0.149407, 0.670855])
    // Never without exploration, and no further apart than five.
    const late = updatePolicy(first, [900, undefined, undefined], { ...options, step: 1e9 })
    expect([late.exploration, late.shares[1]! / late.shares[2]!]).toEqual([0.03, 1])
    const many = updatePolicy(initialPolicy(new Array(40).fill(1 / 40)), [3], { ...options, step: 1e9 })
    for (const share of many.shares) expect(share).toBeCloseTo(1 / 40, 12)
  })

  it('leaves the estimate of a source alone that was not in the step', () => {
    for (const variant of POLICY_VARIANTS) {
      const once = after(variant, [LOSS])
      const twice = after(variant, [LOSS, [2, undefined, undefined]])
      expect(twice.rewards.slice(1)).toEqual(once.rewards.slice(1))
      expect(twice.rewards[0]).not.toBe(once.rewards[0])
    }
  })

  it('always sums to 1 and gives every source at least its exploration', () => {
    for (const variant of POLICY_VARIANTS) {
      for (const loss of [LOSS, [0, 0, 0], [11, 0.01, undefined]]) {
        for (const first of [1, 20, 100_000]) {
          const { shares, exploration } = after(variant, [loss, LOSS, loss], first)
          expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
          expect(Math.min(...shares)).toBeGreaterThanOrEqual(exploration)
        }
      }
    }
  })

  it('explores uniformly at first, and always with one source', () => {
    expect(explorationAt(1, 3)).toBeCloseTo(1 / 3)
    expect(
      updatePolicy(initialPolicy([1]), [2], { variant: 'smoothed', decay: 0.9, step: 5 }).shares,
    ).toEqual([1])
  })
})

interface OdmGolden {
  readonly config: {
    readonly natural: readonly number[]
    readonly warmup: number
    readonly decay: number
    readonly total: number
  }
  readonly steps: readonly {
    readonly step: number
    readonly finite: boolean
    readonly samples: readonly (readonly [source: number, labels: number, loss: number])[]
  }[]
  readonly shares: Readonly<Record<PolicyVariant, readonly (readonly number[])[]>>
}

const GOLDEN = openGolden<OdmGolden>('odm').values
const FACTS = {
  totalSteps: GOLDEN.config.total,
  stepsPerEpoch: 1,
  seed: 0,
  isPlainText: true,
  data: {
    numSamples: 5,
    sources: ['a', 'b', 'none', 'c', 'd'],
    // The golden samples have the number of their source for an index.
    sourceIndex: (index: number) => index,
    length: () => 1,
    drawShares: () => Float64Array.from(GOLDEN.config.natural),
  },
}
const gateOf = (variant: PolicyVariant) =>
  bandit.create(
    { variant, meanDecay: GOLDEN.config.decay, constants: 'scaled', warmupSteps: GOLDEN.config.warmup },
    FACTS,
  )
const outcomeOf = ({ step, finite, samples }: OdmGolden['steps'][number]): StepOutcome => ({
  step,
  wasFinite: finite,
  samples: {
    index: Float64Array.from(samples, ([source]) => source),
    labels: Float64Array.from(samples, ([, labels]) => labels),
    loss: Float64Array.from(samples, ([, , loss]) => loss),
    score: new Float64Array(samples.length),
    weight: new Float64Array(samples.length).fill(1),
  },
})
const NOT_USED = {} as StepFacts

describe('the bandit gate', () => {
  it('has the shares of the reference after every step, with a source that is empty and a step that was not finite', () => {
    for (const variant of POLICY_VARIANTS) {
      const gate = gateOf(variant)
      expect([...gate.shares!()]).toEqual(GOLDEN.config.natural)
      for (const [i, step] of GOLDEN.steps.entries()) {
        gate.observe!(outcomeOf(step), NOT_USED)
        for (const [g, share] of gate.shares!().entries()) {
          expect(Math.abs(share - GOLDEN.shares[variant][i]![g]!)).toBeLessThan(1e-12)
        }
      }
      const events = gate.takeEvents!()
      expect(events.map(({ kind, step }) => [kind, step])).toEqual(
        GOLDEN.steps.filter(({ step, finite }) => finite && step > 3).map(({ step }) => ['policy', step]),
      )
      expect(Object.keys(events[0]!.fields.shares as object)).toEqual(['a', 'b', 'c', 'd'])
      expect(gate.takeEvents!()).toEqual([])
    }
  })

  it('goes on exactly from a saved state', () => {
    for (const variant of POLICY_VARIANTS) {
      const whole = gateOf(variant)
      for (const [i, step] of GOLDEN.steps.entries()) {
        const half = gateOf(variant)
        half.load!({ json: JSON.parse(JSON.stringify(whole.state!().json)), tensors: new Map() })
        whole.observe!(outcomeOf(step), NOT_USED)
        for (const later of GOLDEN.steps.slice(i)) half.observe!(outcomeOf(later), NOT_USED)
        const rest = gateOf(variant)
        rest.load!(whole.state!())
        for (const later of GOLDEN.steps.slice(i + 1)) rest.observe!(outcomeOf(later), NOT_USED)
        expect(half.state!()).toEqual(rest.state!())
      }
    }
  })

  it('warms up for its share of the run, or for the steps of the source', () => {
    const warmup = (constants: 'scaled' | 'paper', totalSteps: number) => {
      const { warmupSteps } = bandit.options
      const fallback = warmupSteps.fallback as (others: Record<string, unknown>) => number | 'auto'
      const gate = bandit.create(
        { variant: 'smoothed', meanDecay: 0.9, constants, warmupSteps: fallback({ constants }) },
        { ...FACTS, totalSteps },
      )
      let step = 0
      while (gate.takeEvents!().length === 0)
        gate.observe!(outcomeOf({ ...GOLDEN.steps[0]!, step: ++step, finite: true }), NOT_USED)
      return step - 1
    }
    expect([warmup('scaled', 1000), warmup('scaled', 100_000), warmup('paper', 1000)]).toEqual([
      20, 2000, 2000,
    ])
  })
})
