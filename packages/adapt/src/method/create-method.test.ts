import { describe, expect, it } from 'vitest'
import { createMethod } from './create-method.js'
import { METHOD_PRESETS, type MethodInput, resolveMethod, resolveNormalizer } from './method-config.js'

const resolve = (input: MethodInput) =>
  resolveMethod(input, (path, message) => {
    throw new Error(`${path.join('.')}: ${message}`)
  })
const context = { totalSteps: 1000, stepsPerEpoch: 10, isPlainText: true }

describe('createMethod', () => {
  it.each(METHOD_PRESETS)('builds the preset %s', (preset) => {
    const method = createMethod(resolve({ preset }), context)
    expect(method).toMatchObject({ name: preset, apply: 'loss' })
    expect(method.signal.needs).toEqual({ anchors: preset !== 'uniform', separateForward: false })
    expect(method.gate.needs).toBe('none')
    method.signal.dispose()
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
