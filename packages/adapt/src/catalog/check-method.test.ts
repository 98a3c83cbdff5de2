import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import { identityGate, softmaxGate, topFraction } from '../gate/index.js'
import { defineGate, defineSignal } from '../method/define-method.js'
import { constantSignal } from '../signal/index.js'
import { checkFit, checkMethod } from './check-method.js'
import { createMethod } from './create-method.js'
import type { MethodInput } from './method-config.js'
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

  it.each([
    [
      'rho-1',
      { signal: { reference: './small', reference_steps: 0.5 } },
      'signal.reference_steps',
      'reference: train',
    ],
    ['rho-1', { signal: { reference: './small', curated: ['code'] } }, 'signal.curated', 'reference: train'],
    ['rho-loss', { signal: { reference: './small', holdout: 0.1 } }, 'signal.holdout', 'reference: train'],
    ['doremi', { signal: { shares: { a: 1 }, proxy_steps: 0.5 } }, 'signal.proxy_steps', 'shares: {}'],
    ['doremi', { signal: { shares: { a: 1 }, eta: 2 } }, 'signal.eta', 'shares: {}'],
    [
      'odm',
      { gate: { variant: 'exp3', mean_decay: 0.5 } },
      'gate.mean_decay',
      'variant: smoothed, paper or dataflex',
    ],
    ['linupper', { gate: { constants: 'paper', burn_in: 0.5 } }, 'gate.burn_in', 'constants: scaled'],
    ['quadratic', { gate: { delta: 2 } }, 'gate.delta', 'another shape than quadratic'],
    ['less', { signal: { gradient: 'sgd', eps_mode: 'outside' } }, 'signal.eps_mode', 'gradient: adam'],
    ['rds-plus', { signal: { aggregate: 'max', turns: 'task' } }, 'signal.turns', 'aggregate: round_robin'],
  ] as const)('refuses an option of %s that another leaves without effect: %o', (preset, set, key, condition) => {
    const problems = (options: object) =>
      checkMethod(
        resolveMethod({ preset, ...options } as MethodInput, (path, message) => {
          throw new Error(`${path.join('.')}: ${message}`)
        }),
      ).map(({ path, message }) => `${path.join('.')}: ${message}`)
    const [part, name] = key.split('.') as ['signal' | 'gate', string]
    expect(problems(set)).toEqual([
      expect.stringMatching(new RegExp(`^${part}.${name}: expected .* with ${condition} only; received `)),
    ])
    const { [name]: _, ...others } = (set as Record<string, Record<string, unknown>>)[part]!
    expect(problems({ [part]: others })).toEqual([])
  })

  it('refuses trust in a signal that does not say how far it can be trusted, and targets without a solution', () => {
    const problems = (input: MethodInput) =>
      checkMethod(resolveMethod(input, () => {})).map(({ path, message }) => `${path.join('.')}: ${message}`)
    expect(problems({ preset: 'adapt-calibrated', gate: { trust: 'halves' } })).toEqual([])
    expect(
      problems({ preset: 'adapt-calibrated', signal: { kind: 'loss' }, gate: { trust: 'halves' } }),
    ).toEqual([
      'gate.trust: expected "off" with signal kind "loss", which does not say how far its scores can be trusted, received "halves"',
    ])
    expect(problems({ preset: 'adapt-calibrated', gate: { ess: 0.9, edr: 0.5, floor: 0.5 } })).toEqual([])
    expect(problems({ preset: 'adapt-calibrated', gate: { ess: 0.55, edr: 0.5, floor: 0.9 } })).toEqual([
      expect.stringMatching(/^gate\.floor: expected a share .* received 0\.9$/),
    ])
    const annealed = { anneal: true, anneal_from: 0.5, anneal_to: 0.5 }
    expect(problems({ preset: 'adapt-calibrated', gate: annealed })).toEqual([
      'gate.anneal_from: expected a share below method.gate.anneal_to (0.5), received 0.5',
    ])
    expect(problems({ preset: 'adapt-calibrated', gate: { anneal_to: 0.5 } })).toEqual([
      expect.stringMatching(/^gate\.anneal_to: expected 0\.8, .* with anneal: true only/),
    ])
  })

  it('refuses a normaliser beside a gate that says itself what the loss is divided by', () => {
    const problems = (input: MethodInput) => checkMethod(resolveMethod(input, () => {}))
    expect(problems({ preset: 'dataflex' })).toEqual([])
    expect(problems({ preset: 'dataflex', normalizer: 'token.mean' })).toEqual([
      {
        path: ['normalizer'],
        message:
          'expected none with gate kind "dataflex", which says itself what the loss is divided by, received "token.mean"',
      },
    ])
  })

  it('stands before a method is made, too', () => {
    for (const wrong of [
      { preset: 'adapt', apply: 'mask' },
      { preset: 'adapt', signal: { scoreEval: true }, gate: { kind: 'fixed-shares' }, apply: 'sample' },
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

  it('refuses rows of several samples where a weight is one of a row', () => {
    const dataflex = resolveMethod({ preset: 'dataflex' }, () => {})
    const [packed] = missingNeeds(dataflex, { anchors: 1, isPacked: true })
    expect(packed).toEqual({
      path: ['data', 'packing'],
      message: 'expected false for method "dataflex", which weighs rows of one sample each, received true',
    })
    expect(missingNeeds(dataflex, { anchors: 1, isPacked: false })).toEqual([])
    expect(missingNeeds(adapt, { anchors: 1, isPacked: true })).toEqual([])
  })

  it('is an error of the config when a run begins', () => {
    expect(() => requireNeeds(adapt, { anchors: 0 })).toThrow(ConfigError)
    requireNeeds(adapt, { anchors: 3 })
  })
})
