/** n samples that were drawn, m of them with a gradient, V anchors. */
import { betweenSources, separationAuc, spearman } from '../signal/index.js'
import { aucInterval, type Interval, randomAucHalfWidth, spearmanInterval } from '../statistics/index.js'

/** A figure with its 95 % interval. */
export interface Estimate {
  readonly value: number
  readonly interval: Interval
}

/** A rank correlation of so many pairs. */
export interface CorrelationEstimate extends Estimate {
  readonly pairs: number
}

/** An area under the ROC curve, and of what. */
export interface AucEstimate extends Estimate {
  readonly positives: number
  readonly negatives: number
}

/** What the sources of the data are to the anchors; empty lists where nobody said. */
export interface SourceRoles {
  readonly target: readonly string[]
  readonly sibling: readonly string[]
  readonly noise: readonly string[]
}

/** Scores of the samples that were drawn, and of anchors that were not compared with. */
export interface AuditedScores {
  /** [n], or the first m. */
  readonly drawn: ArrayLike<number>
  /** For each way to take anchors out: scores of the drawn samples and of those anchors; empty without anchors. */
  readonly parts: readonly { readonly drawn: ArrayLike<number>; readonly heldOut: ArrayLike<number> }[]
}

/** What the scores of a signal are worth. */
export interface SignalFigures {
  /** Anchors that were not compared with, above the samples that were drawn. */
  readonly anchors: AucEstimate
  /** Of samples: target sources above all others, above their siblings, above noise. Absent without such sources. */
  readonly rest?: AucEstimate
  readonly sibling?: AucEstimate
  readonly noise?: AucEstimate
  /** Rank correlation with the gradient influence on the anchors, as a dot product and as a cosine; absent where none was measured. */
  readonly influence?: { readonly dot: CorrelationEstimate; readonly cosine: CorrelationEstimate }
  /** Rank correlation of the scores that two halves of the anchors give. */
  readonly splitHalf?: number
  /** Share of the variance of the ranks that lies between sources, corrected for chance; absent for one source. */
  readonly betweenSources?: number
}

/** @param sources  Of the samples that were drawn, [n]. */
export function figuresOf(
  { drawn, parts }: AuditedScores,
  sources: readonly string[],
  { target, sibling, noise }: SourceRoles,
  influence?: { readonly dot: Float64Array; readonly cosine: Float64Array },
): SignalFigures {
  const of = (names: readonly string[]) => pick(drawn, (i) => names.includes(sources[i]!))
  const others = pick(drawn, (i) => !target.includes(sources[i]!))
  const against = (negatives: Float64Array) => aucOf(of(target), negatives)
  const correlation = (values: Float64Array): CorrelationEstimate => {
    const value = spearman(
      pick(drawn, (i) => i < values.length),
      values,
    )
    return { value, interval: spearmanInterval(value, values.length), pairs: values.length }
  }
  const between = betweenSources(drawn, sources)
  return {
    anchors: meanAuc(parts.map((part) => aucOf(part.heldOut, part.drawn))),
    ...(target.length > 0 ? { rest: against(others) } : {}),
    ...(sibling.length > 0 ? { sibling: against(of(sibling)) } : {}),
    ...(noise.length > 0 ? { noise: against(of(noise)) } : {}),
    ...(influence
      ? { influence: { dot: correlation(influence.dot), cosine: correlation(influence.cosine) } }
      : {}),
    ...(parts.length === 2 ? { splitHalf: spearman(parts[0]!.drawn, parts[1]!.drawn) } : {}),
    ...(between === undefined ? {} : { betweenSources: between }),
  }
}

function pick(values: ArrayLike<number>, isPicked: (index: number) => boolean): Float64Array {
  return Float64Array.from(values).filter((_, i) => isPicked(i))
}

function aucOf(positives: ArrayLike<number>, negatives: ArrayLike<number>): AucEstimate {
  const [m, n] = [positives.length, negatives.length]
  const value = separationAuc(positives, negatives)
  return { value, interval: aucInterval(value, m, n), positives: m, negatives: n }
}

/** Of disjoint positives against the same negatives. */
function meanAuc(parts: readonly AucEstimate[]): AucEstimate {
  const positives = parts.reduce((total, part) => total + part.positives, 0)
  const value = parts.reduce((total, part) => total + (part.value * part.positives) / positives, 0)
  const negatives = parts[0]?.negatives ?? 0
  return parts.length === 0
    ? { value: Number.NaN, interval: [Number.NaN, Number.NaN], positives: 0, negatives: 0 }
    : { value, interval: aucInterval(value, positives, negatives), positives, negatives }
}

/** What a signal is found to be. */
export interface SignalVerdict {
  /** Whether training with it can be expected to help. */
  readonly isWorth: boolean
  /** In few words. */
  readonly says: string
}

/** The area that decides: of the target's samples where they are known, else of the anchors. */
export const decidingAuc = ({ rest, anchors }: SignalFigures): AucEstimate => rest ?? anchors

/**
 * Whether a signal finds what it should and goes with the gradient: both beyond what a random score of so many samples would, were each of the
 * signals such a score (Bonferroni).
 * @param numSignals  That are judged together.
 */
export function judgeSignal(figures: SignalFigures, numSignals: number): SignalVerdict {
  const level = 1 - 0.05 / Math.max(1, numSignals)
  const auc = decidingAuc(figures)
  const half = randomAucHalfWidth(auc.positives, auc.negatives, level)
  const finds = auc.value - 0.5 > half
  const isInverted = auc.value - 0.5 < -half
  const { influence, anchors, rest } = figures
  const [low, high] = influence
    ? spearmanInterval(influence.dot.value, influence.dot.pairs, level)
    : [Number.NaN, Number.NaN]
  const goes = influence === undefined || low > 0
  const thing = rest === undefined && anchors.positives > 0 ? 'anchors' : 'target'
  if (finds && goes) return { isWorth: true, says: 'worth training with' }
  if (isInverted) return { isWorth: false, says: `puts the ${thing} last` }
  if (finds)
    return { isWorth: false, says: high < 0 ? 'goes against the gradient' : 'not seen in the gradient' }
  return { isWorth: false, says: low > 0 ? `does not find the ${thing}` : 'as good as random' }
}
