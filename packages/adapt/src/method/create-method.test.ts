import { tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createMethod } from './create-method.js'
import {
  type GateConfig,
  METHOD_PRESETS,
  type MethodInput,
  needsScoringForward,
  resolveMethod,
  resolveNormalizer,
  type SignalConfig,
} from './method-config.js'
import { needsScorePhase } from './weight-plan.js'

const resolve = (input: MethodInput) =>
  resolveMethod(input, (path, message) => {
    throw new Error(`${path.join('.')}: ${message}`)
  })
const context = { totalSteps: 1000, stepsPerEpoch: 10, isPlainText: true }

describe('createMethod', () => {
  it.each(METHOD_PRESETS)('builds the preset %s', (preset) => {
    const method = createMethod(resolve({ preset }), context)
    expect(method).toMatchObject({ name: preset, apply: 'loss' })
    expect(method.signal.needs).toEqual({ anchors: preset.startsWith('adapt'), separateForward: false })
    expect(method.gate.needs).toBe('none')
    method.signal.dispose()
  })

  it.each(METHOD_PRESETS)('takes %s by its name, as a config and with options in camelCase', (preset) => {
    const config = resolve({ preset })
    const made = [preset, config, { preset }].map((method) => createMethod(method, context))
    const shown = made.map(({ name, normalizer, gate }) => {
      using score_S = tensor([-0.3, 0.4], [2])
      using weight_S = gate.weights(score_S)
      return [name, normalizer, gate.needs, ...weight_S.toFloat32Array()]
    })
    expect(shown[0]![0]).toBe(preset)
    expect(shown).toEqual([shown[0], shown[0], shown[0]])
  })

  it('takes options in camelCase', () => {
    const gate = { kind: 'sigmoid', temperature: 2, wMin: 0.25 } as const
    const method = createMethod({ signal: { scoreEval: true }, gate, normalizer: 'token.mean' })
    expect(method).toMatchObject({ name: 'adapt', normalizer: 'token.mean' })
    expect(method.signal.needs.separateForward).toBe(true)
    using weight_S = method.gate.weights(tensor([-100], [1]))
    expect(weight_S.toFloat32Array()[0]).toBe(0.25)
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
    expect(method.signal.needs.separateForward).toBe(true)
    expect(createMethod(resolve({ gate: { kind: 'softmax' } }), context).gate.needs).toBe('step')
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
      const { gate } = createMethod(resolve({ preset: 'adapt-calibrated' }), { ...context, totalSteps })
      for (let step = 1; ; step++) if (gate.observe!(scores, step)) return step
    }
    expect([100, 1000, 100_000].map(warmupOf)).toEqual([10, 100, 200])
  })
})

// Records, so that a new kind has to be named here. What a custom part needs is known from the part alone.
const SIGNAL_KINDS: Record<Exclude<SignalConfig['kind'], 'custom'>, true> = {
  constant: true,
  random: true,
  source: true,
  'model-embedding': true,
}
const GATE_KINDS: Record<Exclude<GateConfig['kind'], 'custom'>, true> = {
  identity: true,
  linear: true,
  sigmoid: true,
  softmax: true,
  'calibrated-sigmoid': true,
}
const keysOf = <K extends string>(record: Record<K, true>) => Object.keys(record) as K[]
const SIGNALS = [
  ...keysOf(SIGNAL_KINDS).map((kind) => ({ kind })),
  { kind: 'model-embedding', score_eval: true } as const,
]
const CONTROLS = [{}, { shuffle: true }, { collapse: 'source' }] as const

describe('needsScoringForward', () => {
  it('says of every config what the built method does', () => {
    const dataset = { sources: ['a'], sourceIndex: () => 0, length: () => 3 }
    const inputs = SIGNALS.flatMap((signal) =>
      keysOf(GATE_KINDS).flatMap((kind) =>
        CONTROLS.map((control): MethodInput => ({ signal, gate: { kind }, ...control })),
      ),
    )
    for (const input of [...inputs, ...METHOD_PRESETS.map((preset) => ({ preset }))]) {
      const config = resolve(input)
      const method = createMethod(config, { ...context, dataset })
      expect([input, needsScoringForward(config)]).toEqual([input, needsScorePhase(method)])
      method.signal.dispose()
    }
  })
})
