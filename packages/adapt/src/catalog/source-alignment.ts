/** K sources with samples, S samples with labels of a step. */
import { tensor } from '@adapt-ts/torch'
import { z } from 'zod'
import { AdaptError, EXIT } from '../errors.js'
import { defineGate } from '../method/define-method.js'
import { EventList } from '../method/event-list.js'
import { flag, type OptionsOf, option, real } from '../method/option-table.js'
import { readTogether } from '../method/read-together.js'
import { requireData } from '../method/require-data.js'
import { activeSources } from './active-sources.js'
import { requireSource } from './source-shares.js'

/** What the weights of sources keep between two steps. */
export interface AlignedWeights {
  /** alpha: [K], sums to 1. */
  readonly alpha: readonly number[]
  /** The last score that each source had, before the learning rate: [K]. */
  readonly scores: readonly number[]
  /** Sum of alpha over `count` updates, [K]. */
  readonly sum: readonly number[]
  readonly count: number
}

/** Gradients of the sources of a step, as their products: [K, K]; undefined where a source is not in it. */
export type SourceProducts = readonly (readonly number[] | undefined)[]

/** Added to the mean norm that scores are divided by. */
const EPSILON = 1e-6

/** Every source alike, none seen. */
export function initialAlignedWeights(numSources: number): AlignedWeights {
  const zeros = new Array<number>(numSources).fill(0)
  return { alpha: zeros.map(() => 1 / numSources), scores: zeros, sum: zeros, count: 0 }
}

/** The mean of alpha over the steps: the shares that a proxy learns. At first those that it begins with. */
export const meanAlpha = ({ alpha, sum, count }: AlignedWeights): number[] =>
  alpha.map((own, k) => (count === 0 ? own : sum[k]! / count))

/**
 * Products of the gradients of the mean losses of sources, from those of samples: g_j = sum over its samples a of (n_a / n_j) g_a.
 *
 * @param products_SS  <g_a, g_b> of each sample's mean loss, row by row. @param labels  n_a. @param source  Of each sample, in 0..K-1.
 */
export function sourceProducts(
  products_SS: ArrayLike<number>,
  labels: ArrayLike<number>,
  source: ArrayLike<number>,
  numSources: number,
): SourceProducts {
  const numSamples = labels.length
  const tokens = tokensOf(labels, source, numSources)
  const products = tokens.map(() => new Array<number>(numSources).fill(0))
  for (let a = 0; a < numSamples; a++) {
    const [j, partOfJ] = [source[a]!, labels[a]! / tokens[source[a]!]!]
    for (let b = 0; b < numSamples; b++) {
      const k = source[b]!
      products[j]![k]! += partOfJ * (labels[b]! / tokens[k]!) * products_SS[a * numSamples + b]!
    }
  }
  return products.map((row, j) => (tokens[j]! > 0 ? row : undefined))
}

/** Labels of each source in the step, [K]. */
export function tokensOf(labels: ArrayLike<number>, source: ArrayLike<number>, numSources: number): number[] {
  const tokens = new Array<number>(numSources).fill(0)
  for (let a = 0; a < labels.length; a++) tokens[source[a]!]! += labels[a]!
  return tokens
}

/** What brings each gradient to a norm of `clip` at most, [K]; 1 for a source that is not in the step. */
export const clipFactors = (products: SourceProducts, clip: number): number[] =>
  products.map((row, j) => (row === undefined ? 1 : Math.min(1, clip / Math.sqrt(Math.max(row[j]!, 0)))))

/** Products of gradients that are scaled: c_j c_k <g_j, g_k>. */
export const scaledProducts = (products: SourceProducts, factors: readonly number[]): SourceProducts =>
  products.map((row, j) => row?.map((product, k) => factors[j]! * factors[k]! * product))

/**
 * How much a step on each source helps the targets:
 *
 *   W_j = <g_j, sum over the targets i of g_i>,   divided by the mean norm of the sources' gradients
 *
 * @param targets  Places of sources. @param byMeanNorm  Whether it is divided.
 * @returns [K]; undefined for a source that is not in the step.
 * @see DoGE, arXiv 2310.15393, section 3.
 */
export function alignment(
  products: SourceProducts,
  targets: readonly number[],
  byMeanNorm: boolean,
): (number | undefined)[] {
  const norms = products.flatMap((row, j) => (row === undefined ? [] : [Math.sqrt(Math.max(row[j]!, 0))]))
  const norm = byMeanNorm ? norms.reduce((a, b) => a + b, 0) / norms.length + EPSILON : 1
  return products.map((row) =>
    row === undefined ? undefined : targets.reduce((sum, i) => sum + row[i]!, 0) / norm,
  )
}

/**
 * One step of mirror descent on the simplex, with s_j the step's alignment, or the last one that a source had:
 *
 *   sc_j  = clip(lr s_j, 0, most lr)
 *   alpha = (1 - e) softmax(ln alpha + sc / mu) + e / K
 */
export function updateAligned(
  { alpha, scores: last, sum, count }: AlignedWeights,
  alignments: readonly (number | undefined)[],
  {
    learningRate,
    mu,
    mostScore,
    smoothing,
  }: {
    readonly learningRate: number
    readonly mu: number
    readonly mostScore: number
    readonly smoothing: number
  },
): AlignedWeights {
  const scores = last.map((before, j) => alignments[j] ?? before)
  const logits = scores.map(
    (s, j) => Math.log(alpha[j]!) + (learningRate * Math.min(Math.max(s, 0), mostScore)) / mu,
  )
  const largest = Math.max(...logits)
  const exponentials = logits.map((logit) => Math.exp(logit - largest))
  const total = exponentials.reduce((a, b) => a + b, 0)
  const next = exponentials.map((u) => (1 - smoothing) * (u / total) + smoothing / alpha.length)
  return { alpha: next, scores, sum: sum.map((s, j) => s + next[j]!), count: count + 1 }
}

/** Names of sources; none: all of them. */
const SOURCES = option<readonly string[]>(
  z.array(z.string().min(1)),
  [],
  'Sources whose loss the weights are to lower; none: all of them (universal generalisation)',
)

/** What of the gate's options the proxy of `doge` is made with, too. */
export const ALIGNMENT_OPTIONS = {
  targets: SOURCES,
  mu: real(
    { above: 0, max: 1e6 },
    0.05,
    'How much alpha resists: its logits move by the score over mu; the configs of the source have 0.01',
  ),
  clip: real({ above: 0, max: 1e6 }, 1, 'Largest norm of the gradient of a source'),
  byMeanNorm: flag(true, 'Whether scores are divided by the mean norm of the gradients of the sources'),
  mostScore: real({ above: 0, max: 1e6 }, 5, 'Largest score, before the learning rate; the least is 0'),
  smoothing: real({ min: 0, max: 1 }, 0, 'e: share of the uniform distribution in the weights'),
} as const

/** Weights of sources that grow with what their gradients do for the targets: what DoGE's proxy trains with. */
export const sourceAlignment = defineGate({
  kind: 'source-alignment',
  about: 'weight of each source by how well its gradient agrees with those of the target sources',
  units: ['sample'],
  applies: ['loss'],
  view: 'step',
  interactions: true,
  options: ALIGNMENT_OPTIONS,
  needs: () => ({ sources: 2 }),
  create: (options: OptionsOf<typeof ALIGNMENT_OPTIONS>, facts) => {
    const data = requireData(facts, 'method.gate source-alignment')
    const active = activeSources(data)
    const { indexes, placeOf } = active
    const numSources = indexes.length
    for (const name of options.targets) requireSource(name, data.sources, 'method.gate.targets')
    const targets = [...indexes.keys()].filter(
      (k) => options.targets.length === 0 || options.targets.includes(data.sources[indexes[k]!]!),
    )
    let state = initialAlignedWeights(numSources)
    // What the step under way leads to; taken over when it is known to have been finite.
    let pending: AlignedWeights | undefined
    const events = new EventList()
    return {
      weights({ score, source, labels, interactions }, { learningRate }) {
        if (interactions === undefined) {
          const message = 'gate source-alignment: expected products of the samples, received none'
          throw new AdaptError('NOT_NAMED', EXIT.bug, message)
        }
        const [products_SS] = readTogether([interactions]) as [Float32Array]
        const own = Array.from(source, (g) => placeOf.get(g)!)
        const raw = sourceProducts(products_SS, labels, own, numSources)
        const factors = clipFactors(raw, options.clip)
        const found = alignment(scaledProducts(raw, factors), targets, options.byMeanNorm)
        pending = updateAligned(state, found, { ...options, learningRate })
        const { alpha } = pending
        const tokens = tokensOf(labels, own, numSources)
        const total = tokens.reduce((a, b) => a + b, 0)
        // Under `token.mean`: the sum over sources of alpha_j times its clipped gradient.
        const weight_K = alpha.map((a, j) => (a * factors[j]! * total) / tokens[j]!)
        return tensor(
          Float32Array.from(own, (j) => weight_K[j]!),
          [own.length],
          { device: score.device },
        )
      },
      observe({ step, wasFinite }) {
        if (wasFinite && pending !== undefined) {
          state = pending
          const fields = { shares: active.named(state.alpha), mean: active.named(meanAlpha(state)) }
          events.add({ kind: 'policy', step, fields: { ...fields, rewards: active.named(state.scores) } })
        }
        pending = undefined
      },
      takeEvents: events.take,
      state: () => ({ json: { ...state }, tensors: new Map() }),
      load({ json }) {
        state = json as unknown as AlignedWeights
      },
    }
  },
})
