/** P samples of the pool, K targets. */
import { z } from 'zod'
import { contentText } from '../contamination/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import {
  defineMethod,
  defineSignal,
  oneOf,
  option,
  type PreparationTools,
  real,
  usedWith,
  whole,
} from '../method/index.js'
import { realNumber } from '../method/number-ranges.js'
import { MAX_MODULUS, quotaPlaces, sampleKeys, weighByNgrams } from '../signal/index.js'
import { momentsOf } from './bm25.js'

/** Tells the noise apart from other numbers that are drawn with the same seed. */
const NOISE_STREAM = 37
/** A key of 0 has no logarithm. */
const LEAST_KEY = 2 ** -54
/** Keeps a z-score finite where all scores are equal. */
const LEAST_SPREAD = 1e-8

/** s = log p_target(x) - log p_raw(x) under bags of hashed n-grams. */
export const ngramImportance = defineSignal({
  kind: 'ngram-importance',
  about: 'log ratio of the hashed n-grams of the anchors to those of the pool, once before training',
  unit: 'sample',
  options: {
    ngrams: whole({ min: 1, max: 8 }, 2, 'Longest n-grams, in words and marks; all shorter ones count too.'),
    buckets: whole({ min: 1, max: MAX_MODULUS }, 10_000, 'Numbers that n-grams are hashed to.'),
    laplace: real(
      { min: 0, max: 1e6 },
      0,
      'Added to the count of every bucket in the anchors. Few anchors need some: at 0 each n-gram that they lack costs about 9.',
    ),
    minLength: whole(
      { min: 0, max: 1_000_000_000 },
      100,
      'Samples with fewer words and marks are never kept.',
    ),
    targets: oneOf(
      ['all', 'task'],
      'all',
      'All anchors are one target, or each task (source of anchors) is one and takes its quota of the samples.',
    ),
    quotas: usedWith(
      'targets: task',
      ({ targets }) => targets === 'task',
      option<Readonly<Record<string, number>>>(
        z.record(z.string(), realNumber({ min: 0, max: 1e9 })),
        {},
        'Share of what is kept by task, in any unit; by default that of its words in all anchors.',
      ),
    ),
    per: oneOf(
      ['sample', 'token'],
      'sample',
      'The log weight of a sample, or its mean over words and marks.',
    ),
    scale: usedWith(
      'targets: all',
      ({ targets }) => targets === 'all',
      oneOf(
        ['raw', 'z'],
        'raw',
        'The score itself, or how many standard deviations it lies above the mean of the pool.',
      ),
    ),
    noise: usedWith(
      'scale: raw',
      ({ scale }) => scale === 'raw',
      oneOf(
        ['gumbel', 'none'],
        ({ scale }) => (scale === 'raw' ? 'gumbel' : 'none'),
        'gumbel: noise of the seed and the sample, so that the best samples are drawn without replacement by their weights. Default with scale: z none.',
      ),
    ),
  },
  needs: () => ({ anchors: true }),
  preparesAlone: true,
  async prepare({ minLength, targets, quotas, per, scale, noise, ...options }, tools) {
    const { names, texts_K } = targetTexts(tools.anchorDocuments, targets)
    const K = names.length
    requireTasks(quotas, names)
    const { numSamples } = tools.data
    const { logWeight_PK, length_P, targetTokens_K, unseen } = await weighByNgrams(
      () => tools.texts(),
      numSamples,
      texts_K,
      options,
      (done, total) => tools.progress(done, total, 'texts read'),
    )
    const empty = targetTokens_K.indexOf(0)
    if (empty >= 0)
      throw new ConfigError(
        'NO_ANCHORS',
        `anchors: expected words in "${printable(names[empty]!, 60)}", received none`,
      )
    requireLength(length_P, minLength)
    const score_PK = perUnit(logWeight_PK, length_P, per)
    const moments = momentsOf(score_PK)
    if (noise === 'gumbel') addGumbelNoise(score_PK, tools)
    const isLong = (index: number) => length_P[index]! >= minLength
    const long = length_P.reduce((count, length) => count + (length >= minLength ? 1 : 0), 0)
    if (2 * long < numSamples) {
      tools.warn(
        `method.signal.min_length: ${long} of ${numSamples} samples have ${minLength} words and marks, the others are never kept; lower it for short data`,
      )
    }
    const figures = { scoreMean: moments.mean, scoreStd: moments.std, longEnough: long, unseen, targets: K }
    if (targets === 'all') {
      const standardised = (score: number) => (score - moments.mean) / (moments.std + LEAST_SPREAD)
      const score_P = Float32Array.from(score_PK, (score, i) =>
        isLong(i) ? (scale === 'z' ? standardised(score) : score) : -Infinity,
      )
      return { score_P, figures }
    }
    const places = quotaPlaces(
      score_PK.map((score, i) => (isLong(Math.floor(i / K)) ? score : -Infinity)),
      Object.keys(quotas).length === 0 ? targetTokens_K : names.map((name) => quotas[name]!),
    )
    // What is taken earlier scores higher: any share of the pool is then what the quotas would have given.
    return { score_P: Float32Array.from(places, (place, i) => (isLong(i) ? -place : -Infinity)), figures }
  },
})

/** Data selection by importance resampling, arXiv 2302.03169. */
export const dsir = defineMethod({
  id: 'dsir',
  about: 'trains on samples drawn so that their words and pairs of words are distributed as in the anchors',
  page: 'docs/methods/dsir.md',
  signal: ngramImportance,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025 } },
})

/** Texts of each target by its name. @throws {ConfigError} NO_ANCHORS without any. */
function targetTexts(anchors: PreparationTools['anchorDocuments'], targets: 'all' | 'task') {
  if (anchors.length === 0)
    throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
  const byTarget = new Map<string, string[]>()
  for (const { source, content } of anchors) {
    const name = targets === 'all' ? 'anchors' : source
    byTarget.set(name, [...(byTarget.get(name) ?? []), contentText(content)])
  }
  return { names: [...byTarget.keys()], texts_K: [...byTarget.values()] }
}

function requireLength(length_P: Uint32Array, minLength: number): void {
  const longest = length_P.reduce((a, b) => Math.max(a, b), 0)
  if (longest >= minLength) return
  throw new DataError(
    'ALL_TOO_SHORT',
    `method.signal.min_length: expected samples of at least ${minLength} words and marks, the longest of ${length_P.length} has ${longest}; lower it`,
  )
}

function perUnit(logWeight_PK: Float64Array, length_P: Uint32Array, per: 'sample' | 'token'): Float64Array {
  if (per === 'sample') return logWeight_PK
  const K = logWeight_PK.length / length_P.length
  return logWeight_PK.map((value, i) => value / Math.max(1, length_P[Math.floor(i / K)]!))
}

/** Adds one number a sample, the same for all its targets: the best of the sums are a draw without replacement (Gumbel top k). */
function addGumbelNoise(score_PK: Float64Array, { data, seed }: PreparationTools): void {
  const K = score_PK.length / data.numSamples
  for (const [i, key] of sampleKeys(data, seed, NOISE_STREAM).entries()) {
    const noise = -Math.log(-Math.log(Math.max(key, LEAST_KEY)))
    for (let k = 0; k < K; k++) score_PK[i * K + k]! += noise
  }
}

/** @throws {ConfigError} UNKNOWN_TASK for quotas that are not one for every task of the anchors. */
function requireTasks(quotas: Readonly<Record<string, number>>, names: readonly string[]): void {
  const given = Object.keys(quotas)
  const isWhole = given.length === names.length && names.every((name) => given.includes(name))
  if (given.length === 0 || (isWhole && given.some((name) => quotas[name]! > 0))) return
  const list = (of: readonly string[]) => of.map((name) => `"${printable(name, 60)}"`).join(', ')
  throw new ConfigError(
    'UNKNOWN_TASK',
    `method.signal.quotas: expected a share, one of them above 0, for every task of the anchors (${list(names)}), received ${list(given)}`,
  )
}
