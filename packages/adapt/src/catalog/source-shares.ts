/** G sources of the data, P samples of the pool: what methods that share out the sources have in common. */
import { z } from 'zod'
import { createPermutation } from '../batch/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { defineGate } from '../method/define-method.js'
import { realNumber } from '../method/number-ranges.js'
import type { PreparationTools, ProxyResult } from '../method/preparation.js'

type Pool = PreparationTools['data']

/** Shares by name of the source, in any unit: what two methods take from a config. */
export const SHARES_BY_SOURCE = z.record(z.string(), realNumber({ min: 0 }))

/** Whether a mapping of shares has one above 0. */
export const hasShare = (shares: Readonly<Record<string, number>>): boolean =>
  Object.values(shares).some((share) => share > 0)

/**
 * Shares that a config gives, by source: [G], sums to 1; a source that is not named has 0.
 *
 * @param key  Of the config, for the message.
 * @throws {ConfigError} UNKNOWN_SOURCE for a name that the data does not have.
 */
export function sharesBySource(
  shares: Readonly<Record<string, number>>,
  sources: readonly string[],
  key: string,
): Float64Array {
  for (const name of Object.keys(shares)) requireSource(name, sources, key)
  const total = Object.values(shares).reduce((a, b) => a + b, 0)
  return Float64Array.from(sources, (name) => (Object.hasOwn(shares, name) ? shares[name]! / total : 0))
}

/** @throws {ConfigError} UNKNOWN_SOURCE for a name that the data does not have. */
export function requireSource(name: string, sources: readonly string[], key: string): void {
  if (sources.includes(name)) return
  const known = sources.map((source) => `"${printable(source, 60)}"`).join(', ')
  throw new ConfigError(
    'UNKNOWN_SOURCE',
    `${key}: the data has no source "${printable(name, 60)}"; its sources are ${known}`,
    { source: name },
  )
}

/** q: share of each source in the tokens of the pool, [G]. */
export function naturalShares(
  data: Pick<Pool, 'numSamples' | 'sources' | 'sourceIndex' | 'length'>,
): Float64Array {
  const tokens = new Float64Array(data.sources.length)
  for (let i = 0; i < data.numSamples; i++) tokens[data.sourceIndex(i)]! += data.length(i)
  const total = tokens.reduce((a, b) => a + b, 0)
  return tokens.map((own) => own / total)
}

/** One share for every source that has one in `shares`. */
export function equalShares(shares: ArrayLike<number>): Float64Array {
  const count = Array.from(shares).filter((q) => q > 0).length
  return Float64Array.from(shares, (q) => (q > 0 ? 1 / count : 0))
}

/**
 * p_d / q_d: what the loss of a source that is drawn with share q_d is multiplied by, for the expected gradient of a draw with p_d.
 *
 * @returns [G]; 0 for a source that is not drawn.
 */
export function importanceWeights(shares: ArrayLike<number>, drawShares: ArrayLike<number>): Float64Array {
  return Float64Array.from(drawShares, (q, g) => (q > 0 ? shares[g]! / q : 0))
}

/** p_g / q_g of each sample: how much more often its source is read than in its natural share of the tokens. */
export function shareScores(data: Pool, share_G: Float64Array): Float32Array {
  const score_G = importanceWeights(share_G, naturalShares(data))
  return Float32Array.from({ length: data.numSamples }, (_, i) => score_G[data.sourceIndex(i)]!)
}

/** Shares by name, for figures and events. */
export const shareFigures = (
  sources: readonly string[],
  share_G: ArrayLike<number>,
): Record<string, number> => Object.fromEntries(sources.map((name, g) => [`share.${name}`, share_G[g]!]))

/** The mean of the weights of a proxy's policy, by source: what it learnt. */
export function learntMean({ lastEvents }: ProxyResult, sources: readonly string[]): Float64Array {
  const mean = lastEvents.get('policy')?.mean as Readonly<Record<string, number>>
  return Float64Array.from(sources, (name) => mean[name] ?? 0)
}

/** 1 for the samples that are kept: a share of every source, at random, and at least one of each. */
export function keepOfEach(
  data: Pick<Pool, 'numSamples' | 'sources' | 'sourceIndex'>,
  share: number,
  seed: number,
): Uint8Array {
  const kept = new Uint8Array(data.numSamples)
  const indexes: number[][] = data.sources.map(() => [])
  for (let i = 0; i < data.numSamples; i++) indexes[data.sourceIndex(i)]!.push(i)
  for (const own of indexes.filter(({ length }) => length > 0)) {
    const permute = createPermutation({ seed, epoch: 0, numSamples: own.length, stream: KEEP_STREAM })
    const count = Math.ceil(share * own.length)
    for (let i = 0; i < count; i++) kept[own[permute(i)]!] = 1
  }
  return kept
}

/** Apart from the permutations that the order of training is made of. */
const KEEP_STREAM = 2 ** 34

/** Shares as preparation left them; nothing is learnt while training. */
export const asGiven = defineGate({
  kind: 'as-given',
  about: 'what the signal says: the shares of the sources as preparation left them',
  units: ['source'],
  applies: ['sample'],
  draws: 'sources',
  view: 'batch',
  options: {},
  create: () => ({ weights: ({ score }) => score }),
})
