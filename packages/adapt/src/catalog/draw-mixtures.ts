/** G sources; a mixture is the share of each in the tokens, [G], sums to 1. */
import { createPermutation, createStream } from '../batch/index.js'
import { drawDirichlet } from '../statistics/index.js'

/** What mixtures are drawn around, and how far they may go. */
export interface MixtureSpace {
  /** q: share of each source in the tokens of the data, [G]; 0 for one without samples. */
  readonly prior: ArrayLike<number>
  /** Largest share of each source, [G]. */
  readonly most: ArrayLike<number>
  readonly seed: number
}

/** Exponent that flattens the prior of the mixtures that are tried. */
const TEMPERATURE = 0.5
/** Strengths of the Dirichlet distribution: as many between these, evenly on a logarithmic scale. */
const STRENGTHS = { least: 0.1, most: 5, count: 15 } as const
/** Shares are multiples of this; smaller ones are 0. */
const UNIT = 2e-4
/** Draws for each mixture that is wanted. */
const TRIES = 100
/** Two mixtures whose shares differ by no more, added up, are one. */
const SAME = 1e-5
/** Of simulated draws, the part that must lie within the bounds. */
const FITTING = 0.1
/** Draws closer to the prior than this are the prior. */
const CLOSEST = 2 ** 20
/** Tell these numbers, and this permutation, apart from others of one seed. */
const STREAM = { draw: 37, simulate: 41, choose: 2 ** 35 } as const

/** normalise(q^0.5): what mixtures are drawn around. */
export function temperedPrior(prior: ArrayLike<number>): Float64Array {
  return normalised(Float64Array.from(prior, (q) => q ** TEMPERATURE))
}

/** Shares as multiples of 2e-4, those below it 0. They sum to 1: what rounding leaves over is shared out. */
export function roundMixture(mixture: ArrayLike<number>): Float64Array {
  const large = normalised(Float64Array.from(mixture, (p) => (p < UNIT ? 0 : p)))
  return normalised(large.map((p) => Math.round(p / UNIT)))
}

/**
 * Mixtures to train proxies on: from Dirichlet distributions around the tempered prior, of strengths between 0.1 and 5, within the bounds,
 * rounded, each once.
 *
 * @returns `count` of them; fewer where there are not so many.
 * @see RegMix, arXiv 2407.01492, section 3.1.
 */
export function drawMixtures(space: MixtureSpace, count: number): Float64Array[] {
  const tempered = temperedPrior(space.prior)
  let found: Float64Array[] = []
  for (let closer = 1; found.length < count && closer <= CLOSEST; closer *= 2) {
    const uniform = uniformOf([space.seed, STREAM.draw, closer])
    const drawn: Float64Array[] = []
    for (let i = 0; i < TRIES * count; i++) {
      const step = Math.floor(uniform() * STRENGTHS.count) / (STRENGTHS.count - 1)
      const strength = STRENGTHS.least * (STRENGTHS.most / STRENGTHS.least) ** step * closer
      // The flattened prior itself may lie outside the bounds.
      const mixture = draw(closer === 1 ? tempered : space.prior, strength, uniform)
      if (isWithin(mixture, space.most)) drawn.push(roundMixture(mixture))
    }
    found = withoutCopies([...found, ...drawn])
  }
  if (found.length <= count) return found
  const { seed } = space
  const place = createPermutation({ seed, epoch: 0, numSamples: found.length, stream: STREAM.choose })
  return Array.from({ length: count }, (_, i) => found[place(i)]!)
}

/**
 * The mean of the mixtures with the smallest predicted loss, among many from Dirichlet(q).
 *
 * @param draws  Mixtures that are simulated. @param best  Of them, those that are averaged.
 */
export function bestMixture(
  space: MixtureSpace,
  predict: (mixture: Float64Array) => number,
  draws = 100_000,
  best = 128,
): Float64Array {
  const mixtures = simulate(space, draws)
  const losses = Float64Array.from(mixtures, predict)
  const order = [...losses.keys()].sort((a, b) => losses[a]! - losses[b]! || a - b)
  const mean = new Float64Array(space.prior.length)
  for (const i of order.slice(0, best)) {
    for (const [g, p] of mixtures[i]!.entries()) mean[g]! += p
  }
  return normalised(mean)
}

/** Draws from Dirichlet(q) within the bounds; where hardly any is, from narrower distributions around q. */
function simulate({ prior, most, seed }: MixtureSpace, draws: number): Float64Array[] {
  for (let closer = 1; closer <= CLOSEST; closer *= 2) {
    const uniform = uniformOf([seed, STREAM.simulate, closer])
    const mixtures = Array.from({ length: draws }, () => draw(prior, closer, uniform))
    const fitting = mixtures.filter((mixture) => isWithin(mixture, most))
    if (fitting.length >= FITTING * draws) return fitting
  }
  return [normalised(Float64Array.from(prior))]
}

/** Of Dirichlet(strength * centre); sources without a share have none. */
function draw(centre: ArrayLike<number>, strength: number, uniform: () => number): Float64Array {
  const active = Array.from(centre).flatMap((q, g) => (q > 0 ? [g] : []))
  const drawn = drawDirichlet(
    active.map((g) => strength * centre[g]!),
    uniform,
  )
  const mixture = new Float64Array(centre.length)
  for (const [i, g] of active.entries()) mixture[g] = drawn[i]!
  return mixture
}

const isWithin = (mixture: Float64Array, most: ArrayLike<number>): boolean =>
  mixture.every((p, g) => p <= most[g]!)

/** In lexicographic order, those left out that hardly differ from the one before. */
function withoutCopies(mixtures: readonly Float64Array[]): Float64Array[] {
  const sorted = [...mixtures].sort((a, b) => {
    const g = a.findIndex((p, i) => p !== b[i])
    return g === -1 ? 0 : a[g]! - b[g]!
  })
  const kept: Float64Array[] = []
  for (const mixture of sorted) {
    const last = kept.at(-1)
    const distance = last?.reduce((sum, p, g) => sum + Math.abs(p - mixture[g]!), 0) ?? Infinity
    if (distance > SAME) kept.push(mixture)
  }
  return kept
}

function normalised(values: Float64Array): Float64Array {
  const total = values.reduce((a, b) => a + b, 0)
  return values.map((value) => value / total)
}

/** Independent numbers in (0, 1) with 53 bits. */
function uniformOf(seeds: readonly number[]): () => number {
  const next = createStream(seeds)
  return () => (next() * 2 ** 21 + (next() >>> 11) + 0.5) / 2 ** 53
}
