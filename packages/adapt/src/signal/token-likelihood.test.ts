/** N tokens, V words of a vocabulary. */
import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { expGate } from '../gate/exp-gate.js'
import { thresholdGate } from '../gate/threshold-gate.js'
import { chunkedTokenMasses } from '../loss/index.js'
import type { Evidence, PreparationTools, RunShape } from '../method/index.js'
import { stepFacts, weigh } from '../method/step-facts.test.fixture.js'
import { tokenLikelihood, tokenMass } from './token-likelihood.js'

const LOSSES = [2, 0.1, 3, 1, 4, 0.5]
const REFERENCE = [1, 0.05, 2.9, 0.2, 4.5, 0.6]

const evidence = {
  tokenLoss_N: () => tensor(Float32Array.from(LOSSES), [LOSSES.length]),
  referenceLoss_N: () => tensor(Float32Array.from(REFERENCE), [REFERENCE.length]),
} as unknown as Evidence

const exp = expGate.create({ temperature: 1 }, stepFacts())
const weightsOf = (reference: string) =>
  scope(() => {
    const signal = tokenLikelihood.create!({ scored: 'auto', reference }, stepFacts(), {})
    return weigh(exp, signal.score(evidence, stepFacts()).toFloat32Array())
  })
const close = (actual: readonly number[], expected: readonly number[]) => {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-4)
}
const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

describe('the likelihood of tokens under an exponential gate', () => {
  it.each([
    ['current', [0.135335, 0.904837, 0.049787, 0.367879, 0.018316, 0.606531], 0.209154, 0.60255],
    ['base', [0.367879, 0.951229, 0.055023, 0.818731, 0.011109, 0.548812], 0.355587, 0.775042],
  ] as const)('gives the worked weights with reference %s', (reference, weights, mean, weightedMean) => {
    const found = weightsOf(reference)
    close(found, weights)
    const sum = total(found.map((weight, i) => weight * LOSSES[i]!))
    close([sum / LOSSES.length, sum / total(found)], [mean, weightedMean])
  })

  it('asks for a preparation, and pays for it, only where the model is frozen', () => {
    const { prepares, needs, cost } = tokenLikelihood
    const shape = { params: 10, tokensPerPass: 100 } as RunShape
    expect(prepares!({ scored: 'auto', reference: 'current' })).toBe(false)
    expect(needs({ scored: 'auto', reference: 'current' })).toEqual({ tokenLosses: true })
    expect(cost!({ scored: 'auto', reference: 'current' }, shape)).toEqual({ preparation: 0, signal: 0 })
    for (const reference of ['base', './other']) {
      expect(prepares!({ scored: 'auto', reference })).toBe(true)
      expect(needs({ scored: 'auto', reference })).toEqual({ reference: true })
      expect(cost!({ scored: 'auto', reference }, shape)).toEqual({ preparation: 2000, signal: 0 })
    }
  })

  it('reads the folder that is named, and none for the model at its start', async () => {
    const asked: unknown[] = []
    const tools = {
      modelFolder: (path: string, key: string) => `${key}: ${path}`,
      tokenLosses: async (...call: readonly unknown[]) => {
        asked.push([call[1], call[3]])
      },
    } as unknown as PreparationTools
    await tokenLikelihood.prepare!({ scored: 'auto', reference: 'base' }, tools)
    await tokenLikelihood.prepare!({ scored: 'auto', reference: './other' }, tools)
    await tokenMass.prepare!({ scored: 'auto', reference: 'base' }, tools)
    expect(asked).toEqual([
      [undefined, 'loss'],
      ['method.signal.reference: ./other', 'loss'],
      [undefined, 'mass'],
    ])
    expect(tokenLikelihood.readsModels!({ scored: 'auto', reference: './other' })).toEqual({
      reference: './other',
    })
    expect(tokenLikelihood.readsModels!({ scored: 'auto', reference: 'base' })).toEqual({})
  })
})

/** Masses of targets under these probabilities: the head is the unit matrix, the states are their logarithms. */
function massesOf(probabilities: readonly number[], targets: readonly number[]): number[] {
  const V = probabilities.length
  return scope(() => {
    const head = tensor(
      Float32Array.from({ length: V * V }, (_, i) => (i % (V + 1) === 0 ? 1 : 0)),
      [V, V],
    )
    const states = targets.flatMap(() => probabilities.map(Math.log))
    const hidden = tensor(Float32Array.from(states), [targets.length, V])
    const labels = tensor(Int32Array.from(targets), [targets.length], { dtype: 'int64' })
    return [...chunkedTokenMasses(hidden, head, labels, { chunkSize: 2 }).toFloat32Array()]
  })
}

describe('the masses of tokens', () => {
  it('are the worked ones, and a threshold keeps the likelier half', () => {
    const masses = massesOf([0.4, 0.3, 0.15, 0.1, 0.05], [0, 1, 2, 3, 4])
    close(masses, [1, 0.6, 0.3, 0.15, 0.05])
    expect(weigh(thresholdGate.create({ threshold: 0.5 }, stepFacts()), masses)).toEqual([1, 1, 0, 0, 0])
  })

  it('do not hold tokens that are exactly as likely', () => {
    close(massesOf([0.3, 0.3, 0.2, 0.2], [0]), [0.7])
  })

  it('are those of a frozen model: another is refused', () => {
    expect(tokenMass.check!({ scored: 'auto', reference: 'base' })).toEqual([])
    expect(tokenMass.check!({ scored: 'auto', reference: 'current' })).toEqual([
      { key: 'reference', message: expect.stringContaining('a model that is frozen') },
    ])
  })
})

describe('a threshold', () => {
  it('keeps the score that it is, and hides none that is not a number', () => {
    const gate = thresholdGate.create({ threshold: 2 }, stepFacts())
    expect(weigh(gate, [1.5, 2, Number.NaN, 3])).toEqual([0, 1, Number.NaN, 1])
  })
})
