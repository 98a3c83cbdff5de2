import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { StepFacts, StepOutcome } from '../method/contract.js'
import { fillOptions } from '../method/option-table.js'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  clippedExcess,
  groupDro,
  initialGroupWeights,
  meanWeights,
  tokenWeights,
  updateGroupWeights,
} from './group-dro.js'

const close = (received: readonly number[], expected: readonly number[]) => {
  for (const [i, value] of expected.entries()) expect(Math.abs(received[i]! - value)).toBeLessThan(1e-6)
}

const START = initialGroupWeights([0.5, 0.3, 0.2], Math.log(50_000))
const CONSTANTS = { eta: 1, smoothing: 1e-3 }
const EXCESS = [0.4, -0.2, 0.1, 0.8, 0.6, -0.5, -0.1]
const SOURCE = [0, 0, 0, 1, 1, 2, 2]

describe('the exponentiated gradient over sources', () => {
  it('gives the worked numbers', () => {
    const lam = clippedExcess(EXCESS, SOURCE, 3)
    close(lam as number[], [0.166667, 0.7, 0])
    const bare = updateGroupWeights(START, lam, { eta: 1, smoothing: 0 })
    close(bare.alpha, [0.423486, 0.433125, 0.143389])
    const next = updateGroupWeights(START, lam, CONSTANTS)
    close(next.alpha, [0.423395, 0.433026, 0.143579])
    close(meanWeights(next), [0.461698, 0.366513, 0.17179])
  })

  it('gives the losses of the repository and of the paper', () => {
    const next = updateGroupWeights(START, clippedExcess(EXCESS, SOURCE, 3), CONSTANTS)
    const tokens = [3, 2, 2]
    const means = [2, 3, 2.5]
    const drawShares = [1 / 3, 1 / 3, 1 / 3]
    const loss = (norm: 'repo' | 'paper') => {
      const weights = tokenWeights(next, norm, { drawShares, tokens })
      const sum = (of: (d: number) => number) => tokens.reduce((total, n, d) => total + n * of(d), 0)
      return sum((d) => weights[d]! * means[d]!) / sum((d) => weights[d]!)
    }
    close([loss('repo'), loss('paper')], [2.416618, 2.504815])
    expect(tokenWeights(next, 'paper', { drawShares, tokens: [3, 0, 2] })[1]).toBe(0)
  })

  it('takes the last excess of a source that is not in the step, and that of a model that knows nothing at first', () => {
    const first = updateGroupWeights(START, [0.1, undefined, 0.2], CONSTANTS)
    expect(first.excess).toEqual([0.1, Math.log(50_000), 0.2])
    const second = updateGroupWeights(first, [undefined, 0.3, undefined], CONSTANTS)
    expect(second.excess).toEqual([0.1, 0.3, 0.2])
    expect(clippedExcess([1], [2], 3)).toEqual([undefined, undefined, 1])
  })

  it('stays on the simplex, keeps the smoothing for every source, and stands large excesses', () => {
    let weights = START
    for (const excess of [
      [800, 0, 0],
      [0, 900, 0],
      [0, 0, 0],
      [3, 2, 1],
    ]) {
      weights = updateGroupWeights(weights, excess, CONSTANTS)
      expect(weights.alpha.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
      expect(Math.min(...weights.alpha)).toBeGreaterThanOrEqual(CONSTANTS.smoothing / 3)
    }
    expect(weights.count).toBe(5)
    expect(meanWeights(weights).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12)
  })
})

describe('the update of DataFlex', () => {
  const options = { variant: 'dataflex', eta: 0.1, smoothing: 0.01 } as const
  const first = initialGroupWeights([0.5, 0.3, 0.2], 10, 'dataflex')
  const close = (received: readonly number[], expected: readonly number[]) => {
    for (const [d, value] of expected.entries()) expect(received[d]).toBeCloseTo(value, 6)
  }

  it('gives the worked numbers, a source that is not in the step neither gaining nor losing', () => {
    const all = updateGroupWeights(first, [0.166667, 0.7, 0], options)
    close(all.alpha, [0.491919, 0.312544, 0.195537])
    close(
      updateGroupWeights(first, [0.166667, 0.7, undefined], options).alpha,
      [0.487754, 0.309908, 0.202338],
    )
    // The mean is one over updates alone.
    expect(meanWeights(all)).toEqual(all.alpha)
  })

  it('moves no logit by more than five etas', () => {
    const { alpha } = updateGroupWeights(first, [900, 0, 0], { ...options, smoothing: 0 })
    expect(Math.log(alpha[0]! / 0.5) - Math.log(alpha[1]! / 0.3)).toBeCloseTo(1, 9)
  })

  it('has its own constants unless others are named', () => {
    const defaults = (given: object) => fillOptions(groupDro.options, given as never)
    expect(defaults({ variant: 'dataflex' })).toMatchObject({ eta: 0.1, smoothing: 0.01 })
    expect(defaults({})).toMatchObject({ variant: 'paper', eta: 1, smoothing: 1e-3 })
  })
})

interface DoremiGolden {
  readonly config: {
    readonly eta: number
    readonly smoothing: number
    readonly alpha: readonly number[]
    readonly first_excess: number
  }
  readonly steps: readonly ({
    readonly source: readonly number[]
    readonly proxy: readonly number[]
    readonly reference: readonly number[]
    readonly alpha: readonly number[]
    readonly mean: readonly number[]
  } & Readonly<Record<'repo' | 'paper', { readonly loss: number; readonly share: readonly number[] }>>)[]
}

const GOLDEN = openGolden<DoremiGolden>('doremi')
const { config, steps: STEPS } = GOLDEN.values
const FACTS = {
  totalSteps: 10,
  stepsPerEpoch: 1,
  seed: 0,
  isPlainText: true,
  data: {
    numSamples: 4,
    sources: ['a', 'none', 'b', 'c'],
    sourceIndex: () => 0,
    length: () => 1,
    drawShares: () => Float64Array.from([config.alpha[0]!, 0, config.alpha[1]!, config.alpha[2]!]),
  },
}
const gateOf = (norm: 'repo' | 'paper') =>
  groupDro.create(
    {
      variant: 'paper',
      eta: config.eta,
      smoothing: config.smoothing,
      norm,
      firstExcess: config.first_excess,
    },
    FACTS,
  )
const NOT_USED = {} as StepFacts
const outcome = (step: number, wasFinite = true) => ({ step, wasFinite }) as StepOutcome

function weigh(
  gate: ReturnType<typeof gateOf>,
  { source, proxy, reference }: (typeof STEPS)[number],
): number[] {
  return scope(() => {
    const excess = Float32Array.from(proxy, (loss, n) => loss - reference[n]!)
    const weights = gate.weights(
      {
        score: tensor(excess, [excess.length]),
        index: source.map(() => 0),
        source: Uint16Array.from(source, (d) => [0, 2, 3][d]!),
        labels: new Float64Array(source.length).fill(1),
      },
      NOT_USED,
    )
    return [...weights.toFloat32Array()]
  })
}

describe('the group-dro gate', () => {
  it('gives the weights, objectives and shares of the reference, with sources that are not in a step', () => {
    for (const norm of ['repo', 'paper'] as const) {
      const gate = gateOf(norm)
      for (const [i, step] of STEPS.entries()) {
        const weights = weigh(gate, step)
        const total = weights.reduce((a, b) => a + b, 0)
        close(
          weights.map((w) => w / total),
          step[norm].share,
        )
        close([weights.reduce((sum, w, n) => sum + w * step.proxy[n]!, 0) / total], [step[norm].loss])
        gate.observe!(outcome(i + 1), NOT_USED)
        const [event] = gate.takeEvents!()
        const values = (field: 'shares' | 'mean') => {
          const bySource = event!.fields[field] as Record<string, number>
          return ['a', 'b', 'c'].map((name) => bySource[name]!)
        }
        close(values('shares'), step.alpha)
        close(values('mean'), step.mean)
      }
    }
  })

  it('forgets a step that was not finite, and weighs the same whenever it is asked within a step', () => {
    const gate = gateOf('repo')
    const before = gate.state!()
    const first = weigh(gate, STEPS[0]!)
    expect(weigh(gate, STEPS[0]!)).toEqual(first)
    gate.observe!(outcome(1, false), NOT_USED)
    expect(gate.state!()).toEqual(before)
    expect(gate.takeEvents!()).toEqual([])
    // Nothing is pending: a step without tokens changes nothing either.
    gate.observe!(outcome(2), NOT_USED)
    expect(gate.state!()).toEqual(before)
  })

  it('goes on exactly from a saved state', () => {
    const [whole, half] = [gateOf('repo'), gateOf('repo')]
    for (const [i, step] of STEPS.entries()) {
      weigh(whole, step)
      whole.observe!(outcome(i + 1), NOT_USED)
      if (i === 2) half.load!({ json: JSON.parse(JSON.stringify(whole.state!().json)), tensors: new Map() })
      if (i <= 2) continue
      weigh(half, step)
      half.observe!(outcome(i + 1), NOT_USED)
    }
    expect(half.state!()).toEqual(whole.state!())
  })
})
