import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { TokenDataset } from '../tokenize/index.js'

/**
 * How sources are mixed. `natural`: one shuffle of all samples. `stratified`: the same samples, each source spread
 * evenly over the epoch. Otherwise each source's share of the TOKENS that are read, in any unit: `{a: 3, b: 1}` is 75 %
 * and 25 %.
 */
export type Mixing = 'natural' | 'stratified' | Readonly<Record<string, number>>

/** One source of a dataset and its part in the training order. */
export interface SourceShare {
  readonly source: string
  readonly numSamples: number
  readonly numTokens: number
  /** Its share of the tokens of the dataset. */
  readonly naturalShare: number
  /** Its share of the tokens that are read. */
  readonly share: number
  /** Its share of the samples that are read: what gives `share`, with its mean length. */
  readonly sampleShare: number
  /** How often it is read in one epoch; an epoch has as many samples as the dataset. */
  readonly passesPerEpoch: number
}

/** What a mixing needs to know of a dataset. */
export type MixedDataset = Pick<TokenDataset, 'numSamples' | 'length' | 'sources' | 'sourceIndex'>

const MAX_NAMED = 12

/**
 * The shares of all sources of a dataset, in its order of sources. Tokens count prompts and special tokens too.
 *
 * @throws {ConfigError} UNKNOWN_SOURCE for a name that the data does not have; OUT_OF_RANGE when no share is above 0
 *   or one is no number >= 0.
 */
export function planMixing(dataset: MixedDataset, mixing: Mixing): readonly SourceShare[] {
  const totals = dataset.sources.map((source) => ({ source, numSamples: 0, numTokens: 0 }))
  for (let i = 0; i < dataset.numSamples; i++) {
    const total = totals[dataset.sourceIndex(i)]!
    total.numSamples += 1
    total.numTokens += dataset.length(i)
  }
  const numTokens = totals.reduce((sum, t) => sum + t.numTokens, 0)
  const shares = typeof mixing === 'string' ? undefined : checkedShares(dataset.sources, mixing)
  const wanted = totals.map((t) => shares?.get(t.source) ?? (shares ? 0 : t.numTokens))
  const sum = wanted.reduce((a, b) => a + b, 0)
  // Longer samples are drawn less often. Without ratios the numbers of samples themselves: no rounding comes in.
  const rates = totals.map((t, i) => (shares ? (wanted[i]! * t.numSamples) / t.numTokens : t.numSamples))
  const rateSum = rates.reduce((a, b) => a + b, 0)
  return totals.map((total, i) => {
    const sampleShare = rates[i]! / rateSum
    return {
      ...total,
      naturalShare: total.numTokens / numTokens,
      share: wanted[i]! / sum,
      sampleShare,
      passesPerEpoch: (sampleShare * dataset.numSamples) / total.numSamples,
    }
  })
}

/** More sources than this are hardly sources: what is shown by source cannot be read any more. */
const MANY_SOURCES = 50

/** What a user should know of a plan: sources that are never read, and more sources than anyone looks at. */
export function mixingWarnings(plan: readonly SourceShare[]): readonly string[] {
  const warnings: string[] = []
  const unread = plan.filter(({ share }) => share === 0).map(({ source }) => source)
  if (unread.length > 0) warnings.push(`data.mixing: never reads ${listed(unread)}, whose share is 0`)
  if (plan.length > MANY_SOURCES) {
    const some = listed(plan.slice(0, 3).map(({ source }) => source))
    warnings.push(
      `the data has ${plan.length} sources (${some} ...), which figures by source cannot show; name one under source, ` +
        'another column under source_field, or take each file as one with source_field: null',
    )
  }
  return warnings
}

function checkedShares(
  sources: readonly string[],
  mixing: Readonly<Record<string, number>>,
): ReadonlyMap<string, number> {
  const shares = new Map(Object.entries(mixing))
  for (const [source, share] of shares) {
    if (!Number.isFinite(share) || share < 0) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `data.mixing: share of "${printable(source, 60)}": expected a number >= 0, received ${share}`,
      )
    }
    if (!sources.includes(source)) {
      throw new ConfigError(
        'UNKNOWN_SOURCE',
        `data.mixing: the data has no source "${printable(source, 60)}"; its sources are ${listed(sources)}`,
        { source },
      )
    }
  }
  if (![...shares.values()].some((share) => share > 0)) {
    throw new ConfigError('OUT_OF_RANGE', 'data.mixing: expected at least one share above 0, received none')
  }
  return shares
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMED).map((name) => `"${printable(name, 60)}"`)
  return shown.join(', ') + (names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '')
}
