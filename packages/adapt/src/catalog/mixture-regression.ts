/** n proxies, G sources. */
import { DataError } from '../errors.js'
import { spearman } from '../signal/rank-statistics.js'
import { type BoostedTrees, fitBoostedTrees, leastSquares } from '../statistics/index.js'

/** How the loss of a mixture is predicted. */
export const REGRESSORS = ['trees', 'linear'] as const
export type Regressor = (typeof REGRESSORS)[number]

/** Loss as a function of the mixture, and what it is worth. */
export interface MixtureFit {
  predict(mixture: ArrayLike<number>): number
  /** Spearman's of predictions and losses of proxies that the fit has not seen, by cross-validation; NaN where one side is constant. */
  readonly rankCorrelation: number
  /** Of the ensemble; 0 for `linear`. */
  readonly trees: number
}

type Rows = readonly ArrayLike<number>[]

/** Parts of a cross-validation. */
const FOLDS = 5
const LEAVES = 31
const LEARNING_RATE = 0.01
const MAX_TREES = 1000
/** LightGBM's, for hundreds of proxies. */
const MIN_LEAF = 20
/** Of few proxies a leaf holds this part, two at least. */
const LEAF_SHARE = 0.1

/** Settings of the published ensembles, their leaves smaller for few proxies. */
export function boostingFor(numProxies: number) {
  const minLeaf = Math.min(MIN_LEAF, Math.max(2, Math.round(LEAF_SHARE * numProxies)))
  return { learningRate: LEARNING_RATE, maxTrees: MAX_TREES, maxLeaves: LEAVES, minLeaf }
}

/**
 * Fits the losses of mixtures. Trees: as many as have the smallest error over a cross-validation, then grown on all of them.
 *
 * @param mixtures  [n] of [G], in random order. @param losses  [n].
 * @throws {DataError} FEW_PROXIES where `linear` is not determined.
 * @see RegMix, arXiv 2407.01492, section 3.2.
 */
export function fitMixtures(mixtures: Rows, losses: ArrayLike<number>, regressor: Regressor): MixtureFit {
  if (regressor === 'linear') {
    const outOfFold = new Float64Array(mixtures.length)
    for (const { rows, targets, out } of foldsOf(mixtures, losses)) {
      const predict = fitLinear(rows, targets)
      for (const i of out) outOfFold[i] = predict(mixtures[i]!)
    }
    const predict = fitLinear(mixtures, losses)
    return { predict, trees: 0, rankCorrelation: spearman(outOfFold, losses) }
  }
  const { numTrees, outOfFold } = chooseTrees(mixtures, losses)
  const fit = fitBoostedTrees(mixtures, losses, { ...boostingFor(mixtures.length), maxTrees: numTrees })
  return {
    predict: (mixture) => fit.predict(mixture),
    trees: fit.numTrees,
    rankCorrelation: spearman(outOfFold, losses),
  }
}

/** Least squares on the shares; they sum to 1, so there is no intercept. */
export function fitLinear(mixtures: Rows, losses: ArrayLike<number>): (mixture: ArrayLike<number>) => number {
  // A source that no proxy read has no coefficient.
  const read = Array.from({ length: mixtures[0]!.length }, (_, g) => g).filter((g) =>
    mixtures.some((mixture) => mixture[g]! > 0),
  )
  const coefficients = leastSquares(
    mixtures.map((mixture) => read.map((g) => mixture[g]!)),
    losses,
  )
  if (coefficients === undefined) {
    throw new DataError(
      'FEW_PROXIES',
      `method.signal.regressor: expected more mixtures than the ${read.length} sources for linear, received ${mixtures.length} in a part of them; raise method.signal.proxies, or take trees`,
    )
  }
  return (mixture) => read.reduce((sum, g, i) => sum + coefficients[i]! * mixture[g]!, 0)
}

/** Every proxy is left out once. */
function foldsOf(mixtures: Rows, losses: ArrayLike<number>) {
  return Array.from({ length: FOLDS }, (_, fold) => {
    const places = Array.from({ length: mixtures.length }, (_, i) => i)
    const rest = places.filter((i) => i % FOLDS !== fold)
    return {
      rows: rest.map((i) => mixtures[i]!),
      targets: rest.map((i) => losses[i]!),
      out: places.filter((i) => i % FOLDS === fold),
    }
  })
}

function chooseTrees(mixtures: Rows, losses: ArrayLike<number>) {
  const fits = foldsOf(mixtures, losses).map(({ rows, targets, out }) => {
    const heldOut = {
      rows: out.map((i) => mixtures[i]!),
      targets: out.map((i) => losses[i]!),
      patience: Infinity,
    }
    return { out, fit: fitBoostedTrees(rows, targets, boostingFor(rows.length), heldOut) }
  })
  const errorAt = (count: number) =>
    fits.reduce((sum, { out, fit }) => sum + out.length * fit.heldOutErrors[within(fit, count)]!, 0)
  let numTrees = 0
  for (let count = 1; count <= MAX_TREES; count++) if (errorAt(count) < errorAt(numTrees)) numTrees = count
  const outOfFold = new Float64Array(mixtures.length)
  for (const { out, fit } of fits) {
    for (const i of out) outOfFold[i] = fit.predict(mixtures[i]!, within(fit, numTrees))
  }
  return { numTrees, outOfFold }
}

/** A fit that ended early has no more to add. */
const within = ({ numTrees }: BoostedTrees, count: number): number => Math.min(count, numTrees)
