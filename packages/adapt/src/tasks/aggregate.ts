import { ConfigError } from '../errors.js'
import { corpusBleu, corpusChrf, type WrittenPair } from './corpus-scores.js'
import type { MetricValue } from './metrics.js'
import { PythonRandom } from './python-random.js'

type Pair = readonly [number, number]
type Aggregation = (values: readonly MetricValue[]) => number

const numbers = (values: readonly MetricValue[]) => values as readonly number[]
const pairs = (values: readonly MetricValue[]) => values as readonly Pair[]

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length
const weightedMean = (values: readonly Pair[]): number =>
  sum(values.map(([a]) => a)) / sum(values.map(([, b]) => b))

/**
 * Which values an aggregation takes: a number a document, a sum and its weight, a right and a found class, a right class and shares,
 * or a right and a written text.
 */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  numbers: ['mean', 'nanmean', 'median', 'perplexity'],
  weighted: ['weighted_perplexity', 'bits_per_byte'],
  classes: ['f1', 'matthews_corrcoef'],
  shares: ['brier_score'],
  texts: ['bleu', 'chrf'],
}

/** What becomes of the values of all documents, by the names of the harness. */
const AGGREGATIONS: Readonly<Record<string, Aggregation>> = {
  mean: (values) => mean(numbers(values)),
  nanmean: (values) => mean(numbers(values).filter((value) => !Number.isNaN(value))),
  median: (values) => [...numbers(values)].sort((a, b) => a - b)[Math.floor(values.length / 2)]!,
  perplexity: (values) => Math.exp(-mean(numbers(values))),
  weighted_perplexity: (values) => Math.exp(-weightedMean(pairs(values))),
  bits_per_byte: (values) => -weightedMean(pairs(values)) / Math.LN2,
  /** Of class 1. */
  f1: (values) => {
    const [hits, missed, wrong] = [
      count(pairs(values), (gold, found) => gold === 1 && found === 1),
      count(pairs(values), (gold, found) => gold === 1 && found !== 1),
      count(pairs(values), (gold, found) => gold !== 1 && found === 1),
    ]
    return hits === 0 ? 0 : (2 * hits) / (2 * hits + missed + wrong)
  },
  matthews_corrcoef: (values) => matthews(pairs(values)),
  brier_score: (values) =>
    mean(
      (values as readonly (readonly [number, readonly number[]])[]).map(([gold, shares]) =>
        sum(shares.map((share, i) => (share - (i === gold ? 1 : 0)) ** 2)),
      ),
    ),
  bleu: (values) => corpusBleu(values as readonly WrittenPair[]),
  chrf: (values) => corpusChrf(values as readonly WrittenPair[]),
}

/** Those whose error has no closed form. */
const BOOTSTRAPPED = new Set([
  ...['median', 'matthews_corrcoef', 'f1', 'perplexity', 'nanmean'],
  ...['bleu', 'chrf'],
])
/** Draws of those that take long. */
const FEW_DRAWS: Readonly<Record<string, number>> = { bleu: 100, chrf: 100 }
const CHUNK = 1000

/** @throws {ConfigError} UNKNOWN_AGGREGATION */
export function aggregate(name: string, values: readonly MetricValue[], where: string): number {
  requireAggregation(name, where)
  return AGGREGATIONS[name]!(values)
}

/**
 * @param own  The aggregation that a metric has of itself: another one must take values of the same kind.
 * @throws {ConfigError} UNKNOWN_AGGREGATION
 */
export function requireAggregation(name: string, where: string, own?: string): void {
  const fitting = Object.values(KINDS).find((names) => own !== undefined && names.includes(own))
  const known = fitting ?? Object.keys(AGGREGATIONS)
  if (known.includes(name)) return
  throw new ConfigError(
    'UNKNOWN_AGGREGATION',
    `${where}: metric_list: aggregation: expected one of ${known.join(', ')}, received "${name}"`,
  )
}

/**
 * Standard error of an aggregate: s / sqrt(n) of a mean, else over bootstrap samples drawn by seeds 0, 1, ... as the harness draws them.
 * @returns Undefined where there is none.
 */
export function standardError(
  name: string,
  values: readonly MetricValue[],
  bootstrapIterations: number,
): number | undefined {
  if (values.length < 2 || bootstrapIterations <= 0) return undefined
  if (name === 'mean') return sampleDeviation(numbers(values)) / Math.sqrt(values.length)
  if (!BOOTSTRAPPED.has(name)) return undefined
  const draws = Math.min(bootstrapIterations, FEW_DRAWS[name] ?? bootstrapIterations)
  const size = Math.min(CHUNK, draws)
  const found: number[] = []
  for (let seed = 0; seed < Math.floor(draws / size); seed++) {
    const random = new PythonRandom(seed)
    for (let i = 0; i < size; i++) found.push(AGGREGATIONS[name]!(random.choices(values, values.length)))
  }
  return sampleDeviation(found)
}

function sampleDeviation(values: readonly number[]): number {
  const mu = mean(values)
  return Math.sqrt(sum(values.map((value) => (value - mu) ** 2)) / (values.length - 1))
}

function count(values: readonly Pair[], test: (gold: number, found: number) => boolean): number {
  return values.filter(([gold, found]) => test(gold, found)).length
}

/** Correlation of two labellings with any number of classes. */
function matthews(values: readonly Pair[]): number {
  const classes = [...new Set(values.flat())]
  const n = values.length
  const right = count(values, (gold, found) => gold === found)
  const golds = classes.map((c) => count(values, (gold) => gold === c))
  const founds = classes.map((c) => count(values, (_, found) => found === c))
  const products = (a: readonly number[], b: readonly number[]) => sum(a.map((x, i) => x * b[i]!))
  const scale = Math.sqrt(n ** 2 - products(founds, founds)) * Math.sqrt(n ** 2 - products(golds, golds))
  return scale === 0 ? 0 : (right * n - products(golds, founds)) / scale
}
