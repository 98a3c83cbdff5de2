import { scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { type Method, needsScoringForward } from '../method/index.js'
import { outcomeOf } from '../method/step-facts.test.fixture.js'
import { GivenStates } from '../signal/hidden-states.test.fixture.js'
import { createMethod } from './create-method.js'
import type { GateConfig, MethodInput, SignalConfig } from './method-config.js'
import { partsOf } from './method-parts.js'
import { METHODS } from './registry.js'
import { resolveMethod, resolveNormalizer } from './resolve-method.js'

const resolve = (input: MethodInput) =>
  resolveMethod(input, (path, message) => {
    throw new Error(`${path.join('.')}: ${message}`)
  })
const dataset = { numSamples: 2, sources: ['s'], sourceIndex: () => 0, length: () => 3 }
const context = { totalSteps: 1000, stepsPerEpoch: 10, isPlainText: true }

/**
 * The first step of a method, over these cosines with the only anchor: each list is a micro-batch. The method is freed.
 */
function runStep(method: Method, cosines: readonly (readonly number[])[]) {
  return scope(() => {
    const states = new GivenStates()
    const batches = cosines.map((list) => states.batch(list.map((x) => [x, Math.sqrt(1 - x * x)])))
    const facts = states.facts([states.batch([[1, 0]])])
    method.beforeStep(facts)
    const plan = method.plan(batches, facts)
    const weights = batches.map((batch, i) => [
      ...plan.weigh(i, states.look(batch)).weight_S.toFloat32Array(),
    ])
    expect([plan.batches, plan.dropped]).toEqual([batches, []])
    method[Symbol.dispose]()
    return { weights, scoredTokens: plan.scoredTokens }
  })
}

/** Methods that prepare nothing, train all that is drawn and look at no gradient: these samples have hidden states alone. */
const UNPREPARED = METHODS.flatMap(({ id, signal, apply }) =>
  signal.prepare === undefined && apply !== 'mask' && !partsOf(resolve({ preset: id })).needs.factors
    ? [id]
    : [],
)

describe('createMethod', () => {
  it.each(UNPREPARED)('builds the preset %s', (preset) => {
    const method = createMethod(resolve({ preset }), { ...context, dataset })
    expect(method).toMatchObject({ id: preset, candidates: 1, reference: undefined })
    const { signal, gate } = METHODS.find(({ id }) => id === preset)!
    const options = { balanced: false, scoreShrinkage: 'none' } as never
    expect(method.needs).toEqual({ ...signal.needs(options), ...gate.needs?.(options) })
    // Of two micro-batches, where the gate must see both.
    expect(runStep(method, [[0.5], [0.25]]).scoredTokens).toBe(gate.view === 'step' ? 2 : 0)
  })

  it.each(UNPREPARED)('takes %s by its name, as a config and with options in camelCase', (preset) => {
    const config = resolve({ preset })
    const made = [preset, config, { preset }].map((method) => createMethod(method, { ...context, dataset }))
    const shown = made.map((method) => {
      const { weights, scoredTokens } = runStep(method, [[-0.3], [0.4]])
      return [method.id, method.normalizer, scoredTokens, ...weights.flat()]
    })
    expect(shown[0]![0]).toBe(preset)
    expect(shown).toEqual([shown[0], shown[0], shown[0]])
  })

  it('takes options in camelCase', () => {
    const gate = { kind: 'sigmoid', temperature: 2, wMin: 0.45 } as const
    const method = createMethod({ signal: { scoreEval: true }, gate, normalizer: 'token.mean' })
    expect(method).toMatchObject({ id: 'adapt', normalizer: 'token.mean' })
    expect(method.needs.ownForward).toBe(true)
    const [weights] = runStep(method, [[-1, 0.4]]).weights
    expect(weights![0]).toBeCloseTo(0.45, 7)
    expect(weights![1]).toBeCloseTo(1 / (1 + Math.exp(-0.2)), 6)
  })

  it('refuses a preset or an option that is not there', () => {
    expect(() => createMethod('adept' as 'adapt')).toThrow(/expected one of uniform, adapt.*received "adept"/)
    expect(() => createMethod({ gate: { kind: 'softmax', ess: 0.5 } as never })).toThrow(
      expect.objectContaining({
        code: 'UNKNOWN_OPTION',
        message: expect.stringMatching(/^method\.gate\.ess: /),
      }),
    )
  })

  it('asks for a forward of its own where the score needs one', () => {
    const method = createMethod(resolve({ preset: 'adapt', signal: { score_eval: true } }), context)
    expect(method.needs.ownForward).toBe(true)
    expect(runStep(method, [[0.5, 0.2]]).scoredTokens).toBe(2)
    const softmax = () => createMethod(resolve({ gate: { kind: 'softmax' } }), context)
    expect(runStep(softmax(), [[0.5], [0.2]]).scoredTokens).toBe(2)
    // One micro-batch is the whole step: the training forward says it all.
    expect(runStep(softmax(), [[0.5, 0.2]]).scoredTokens).toBe(0)
  })

  it.each([
    ['uniform', true, 'token.wmean'],
    ['adapt', false, 'sample.wmean'],
    ['adapt-paper', true, 'token.mean'],
    ['adapt-paper', false, 'sample.mean'],
  ] as const)('divides the loss of %s (plain text: %s) by %s', (preset, isPlainText, normalizer) => {
    expect(resolveNormalizer(resolve({ preset }), isPlainText)).toBe(normalizer)
    expect(createMethod(resolve({ preset }), { ...context, isPlainText }).normalizer).toBe(normalizer)
  })

  it("lets the user's normaliser win", () => {
    expect(
      createMethod(resolve({ preset: 'adapt-paper', normalizer: 'token.wmean' }), context).normalizer,
    ).toBe('token.wmean')
  })

  it('ends the warm-up of a calibrated gate after a tenth of the run, at most 200 steps', () => {
    const scores = Float64Array.from({ length: 50 }, (_, i) => Math.sin(i))
    const warmupOf = (totalSteps: number) => {
      const method = createMethod(resolve({ preset: 'adapt-calibrated' }), { ...context, totalSteps })
      const facts = new GivenStates().facts([])
      for (let step = 1; ; step++) {
        method.observe(outcomeOf(scores, step), facts)
        if (method.takeEvents().some(({ kind }) => kind === 'calibration')) return step
      }
    }
    expect([100, 1000, 100_000].map(warmupOf)).toEqual([10, 100, 200])
  })
})

/** Kinds for the loss of samples that need nothing prepared. */
const SIGNAL_KINDS: Partial<Record<SignalConfig['kind'], true>> = {
  constant: true,
  random: true,
  source: true,
  'model-embedding': true,
}
const GATE_KINDS: Partial<Record<GateConfig['kind'], true>> = {
  identity: true,
  linear: true,
  sigmoid: true,
  softmax: true,
  'calibrated-sigmoid': true,
}
const keysOf = <K extends string>(record: Partial<Record<K, true>>) => Object.keys(record) as K[]
const SIGNALS = [
  ...keysOf(SIGNAL_KINDS).map((kind) => ({ kind })),
  { kind: 'model-embedding', score_eval: true } as const,
]
const CONTROLS = [{}, { shuffle: true }, { collapse: 'source' }] as const

describe('needsScoringForward', () => {
  it('says of every config what the built method does', () => {
    const inputs = SIGNALS.flatMap((signal) =>
      keysOf(GATE_KINDS).flatMap((kind) =>
        CONTROLS.map((control): MethodInput => ({ signal, gate: { kind }, ...control })),
      ),
    )
    for (const input of [...inputs, ...UNPREPARED.map((preset) => ({ preset }))]) {
      const config = resolve(input)
      for (const cosines of [[[0.5, 0.2]], [[0.5], [0.2]]]) {
        const { scoredTokens } = runStep(createMethod(config, { ...context, dataset }), cosines)
        const expected = needsScoringForward(partsOf(config), cosines.length) ? 2 : 0
        expect([input, cosines.length, scoredTokens]).toEqual([input, cosines.length, expected])
      }
    }
  })
})
