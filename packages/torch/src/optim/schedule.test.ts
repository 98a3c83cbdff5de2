import { describe, expect, it } from 'vitest'
import { optim } from '../index.js'
import { codeOf } from '../testing/compare.test.fixture.js'
import { openGolden } from '../testing/golden.test.fixture.js'

interface Case {
  readonly arguments: {
    readonly num_warmup_steps?: number
    readonly num_decay_steps?: number
    readonly min_lr_rate?: number
  }
  readonly rates: readonly number[]
}

const golden = openGolden<Readonly<Record<string, Case>>>('schedules')
const BASE_RATE = 1e-3

/** Cases of the reference, and the kind that each asks for. */
const kinds: readonly [string, optim.ScheduleKind][] = [
  ['constant', 'constant'],
  ['constant_with_warmup', 'constant'],
  ['linear', 'linear'],
  ['linear_no_warmup', 'linear'],
  ['cosine', 'cosine'],
  ['cosine_no_warmup', 'cosine'],
  ['cosine_with_min_lr', 'cosine'],
  ['wsd', 'wsd'],
]

describe('scheduleFactor', () => {
  it.each(kinds)('follows the reference: %s', (name, kind) => {
    const { arguments: given, rates } = golden.values[name]!
    const options: optim.ScheduleOptions = {
      kind,
      totalSteps: 20,
      warmupSteps: given.num_warmup_steps ?? 0,
      minRatio: given.min_lr_rate ?? 0,
      ...(given.num_decay_steps === undefined ? {} : { decaySteps: given.num_decay_steps }),
    }
    expect(rates).toHaveLength(20)
    for (const [step, rate] of rates.entries()) {
      const actual = BASE_RATE * optim.scheduleFactor(step, options)
      expect(Math.abs(actual - rate), `step ${step}`).toBeLessThanOrEqual(golden.tolerance * BASE_RATE)
    }
  })

  it.each(['linear', 'cosine', 'wsd'] as const)('%s never goes below its floor, nor above 1', (kind) => {
    const options = { kind, totalSteps: 10, warmupSteps: 2, minRatio: 0.25 }
    const factors = Array.from({ length: 20 }, (_, step) => optim.scheduleFactor(step, options))
    expect(factors.slice(0, 3)).toEqual([0, 0.5, 1])
    expect(Math.max(...factors)).toBe(1)
    for (const factor of factors.slice(2)) expect(factor).toBeGreaterThanOrEqual(0.25)
    for (const factor of factors.slice(10)) expect(factor).toBeCloseTo(0.25, 12)
  })

  it('decays over the last fifth of a wsd schedule unless told otherwise', () => {
    const options = { kind: 'wsd', totalSteps: 100 } as const
    expect([0, 79, 80].map((step) => optim.scheduleFactor(step, options))).toEqual([1, 1, 1])
    expect(optim.scheduleFactor(90, options)).toBeCloseTo(0.5, 12)
  })

  it('stands a run of no steps after its warm-up', () => {
    for (const kind of ['constant', 'linear', 'cosine', 'wsd'] as const) {
      expect(optim.scheduleFactor(4, { kind, totalSteps: 4, warmupSteps: 4 })).toBeGreaterThanOrEqual(0)
    }
  })

  it('refuses an unknown kind', () => {
    const kind = 'step' as optim.ScheduleKind
    expect(codeOf(() => optim.scheduleFactor(0, { kind, totalSteps: 1 }))).toBe('UNKNOWN_SCHEDULE')
  })
})
