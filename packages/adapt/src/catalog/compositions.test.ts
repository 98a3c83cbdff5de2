// Any signal with any gate and any use of the weight: what fits by unit trains, whatever its layout; the rest is refused with the reason.
import { describe, expect, it } from 'vitest'
import type { Apply } from '../method/contract.js'
import { relativeDistance } from '../model/tiny-llama.test.fixture.js'
import { checkMethod } from './check-method.js'
import {
  type ConformanceCase,
  type ConformanceLayout,
  ConformanceRun,
  WHOLE,
} from './conformance.test.fixture.js'
import type { MethodInput } from './method-config.js'
import { GATES, SIGNALS } from './registry.js'
import { resolveMethod } from './resolve-method.js'

const APPLIES: readonly Apply[] = ['loss', 'mask', 'sample']
const byConfig = (part: { readonly byCode?: true }): boolean => part.byCode !== true

interface Composition extends ConformanceCase {
  readonly problems: readonly string[]
}

function compose(signal: string, gate: string, apply: Apply): Composition {
  const input = { preset: 'uniform', signal: { kind: signal }, gate: { kind: gate }, apply } as const
  const problems = checkMethod(
    resolveMethod(input as MethodInput, (path, message) => {
      throw new Error(`method.${path.join('.')}: ${message}`)
    }),
  ).map(({ path, message }) => `method.${path.join('.')}: ${message}`)
  return { name: `${signal} x ${gate} x ${apply}`, input: input as ConformanceCase['input'], problems }
}

const ALL = [...SIGNALS.values()]
  .filter(byConfig)
  .flatMap(({ kind: signal }) =>
    [...GATES.values()]
      .filter(byConfig)
      .flatMap(({ kind: gate }) => APPLIES.map((apply) => compose(signal, gate, apply))),
  )
const FITTING = ALL.filter(({ problems }) => problems.length === 0)

function train(of: ConformanceCase, layout: ConformanceLayout) {
  using run = new ConformanceRun(of, layout)
  run.steps(3)
  return { losses: run.losses, weights: [...run.weights.values()], faults: run.watch.faults }
}

describe('compositions of a config', () => {
  it('every signal fits a gate, and every gate a signal', () => {
    const used = (part: 'signal' | 'gate') => new Set(FITTING.map(({ input }) => input[part]!.kind))
    expect([...SIGNALS.values()].filter(byConfig).map(({ kind }) => kind)).toEqual([...used('signal')])
    expect(new Set([...GATES.values()].filter(byConfig).map(({ kind }) => kind))).toEqual(used('gate'))
  })

  it('what does not fit is refused with what was expected', () => {
    for (const { name, problems } of ALL.filter((of) => of.problems.length > 0)) {
      for (const problem of problems)
        expect(problem, name).toMatch(/^method\.[a-z_.]+: expected .*, received /)
    }
  })

  it.each(FITTING.map((of) => [of.name, of] as const))('%s trains, and does not see its layout', (_, of) => {
    const whole = train(of, WHOLE)
    expect(whole.faults).toEqual([])
    expect(whole.losses.every(Number.isFinite)).toBe(true)
    const cut = train(of, { worldSize: 1, perDevice: 2 })
    // Three steps from weights that differences of scores make: rounding of float32 grows with them.
    expect(relativeDistance(cut.losses, whole.losses)).toBeLessThan(1e-5)
    expect(relativeDistance(cut.weights, whole.weights)).toBeLessThan(1e-4)
  })
})
