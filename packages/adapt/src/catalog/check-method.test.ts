import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import { identityGate, softmaxGate, topFraction } from '../gate/index.js'
import { defineGate, defineSignal } from '../method/define-method.js'
import { constantSignal } from '../signal/index.js'
import { checkFit } from './check-method.js'
import { createMethod } from './create-method.js'
import { missingNeeds, requireNeeds } from './missing-needs.js'
import { resolveMethod } from './resolve-method.js'

const tokenSignal = defineSignal({
  kind: 'by-token',
  about: 'a score a token',
  unit: 'token',
  options: {},
  needs: () => ({ sources: 2, prompts: true }),
})
const greedyGate = defineGate({
  kind: 'greedy',
  about: 'what samples do to each other',
  units: ['sample'],
  applies: ['mask'],
  view: 'step',
  interactions: true,
  options: {},
  create: () => ({ weights: ({ score }) => score }),
})
const fit = (parts: Parameters<typeof checkFit>[0], controls = {}) =>
  checkFit(parts, controls).map(({ path, message }) => `${path.join('.')}: ${message}`)

describe('checkFit', () => {
  it('accepts a gate for the unit of the scores and for what the weight does', () => {
    expect(fit({ signal: constantSignal, gate: softmaxGate, apply: 'loss' })).toEqual([])
    expect(fit({ signal: constantSignal, gate: softmaxGate, apply: 'loss' }, { shuffle: true })).toEqual([])
  })

  it('refuses a gate for another unit, another use, or for what the signal does not measure', () => {
    expect(fit({ signal: tokenSignal, gate: identityGate, apply: 'loss' })[0]).toMatch(
      /^gate\.kind: expected a gate for the scores of signal "by-token", one a token .*received "identity", which weighs a score a sample$/,
    )
    expect(fit({ signal: constantSignal, gate: identityGate, apply: 'mask' })).toEqual([
      'apply: expected "loss" with gate kind "identity", received "mask"',
    ])
    expect(fit({ signal: constantSignal, gate: greedyGate, apply: 'mask' })[0]).toMatch(
      /^gate\.kind: expected a gate for scores alone, received "greedy"/,
    )
  })

  it('refuses to leave samples out by the scores of tokens', () => {
    expect(fit({ signal: tokenSignal, gate: topFraction, apply: 'loss' })).toEqual([])
    expect(fit({ signal: tokenSignal, gate: topFraction, apply: 'mask' })).toEqual([
      'apply: expected "loss" with signal kind "by-token", which scores tokens, received "mask"',
    ])
  })

  it('refuses both controls at once, and one around what is not the loss of samples', () => {
    const parts = { signal: constantSignal, gate: identityGate, apply: 'loss' } as const
    expect(fit(parts, { shuffle: true, collapse: 'source' })).toEqual([
      'collapse: expected one control, shuffle or collapse, received both',
    ])
    const signal = { ...constantSignal, interactions: true } as const
    expect(fit({ signal, gate: greedyGate, apply: 'mask' }, { collapse: 'source' })[0]).toMatch(/^collapse: /)
  })

  it('stands before a method is made, too', () => {
    for (const wrong of [
      { preset: 'adapt', apply: 'mask' },
      { preset: 'adapt', gate: { wMin: 0.5, wMax: 0.5 } },
      { preset: 'adapt-calibrated', gate: { ess: 0.3, edr: 0.4 } },
      { preset: 'adapt', gate: { temperature: -1 } },
      { preset: 'adapt', signal: { refreshEvery: 1.5 } },
    ] as const) {
      const message = expect.stringMatching(/^method\.[a-z_.]+: expected .*, received /)
      expect(() => createMethod(wrong)).toThrow(expect.objectContaining({ code: 'OUT_OF_RANGE', message }))
    }
  })
})

describe('missingNeeds', () => {
  const adapt = resolveMethod({ preset: 'adapt' }, () => {})

  it('names the key to set, and judges only what is known', () => {
    expect(missingNeeds(adapt, { anchors: 0 })).toEqual([
      {
        path: ['anchors'],
        message: 'expected at least one entry for method "adapt", received none (or set method: uniform)',
      },
    ])
    expect(missingNeeds(adapt, { anchors: 1, sources: 1, isPlainText: true })).toEqual([])
    expect(missingNeeds(adapt, {})).toEqual([])
  })

  it('is an error of the config when a run begins', () => {
    expect(() => requireNeeds(adapt, { anchors: 0 })).toThrow(ConfigError)
    requireNeeds(adapt, { anchors: 3 })
  })
})
