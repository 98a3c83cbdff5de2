/** N samples, V anchors, R remembered samples, D width, K width of the discriminant. */
import {
  add,
  cat,
  clamp,
  clone,
  div,
  matmul,
  mean,
  mul,
  nn,
  noGrad,
  reshape,
  scope,
  sub,
  type Tensor,
  tensor,
  toDType,
  transpose,
  zeros,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { PluginState } from '../method/index.js'
import { Z_RANGE } from './aggregate-scores.js'
import { type Discriminant, solveDiscriminant } from './discriminant.js'
import { KeptTensors } from './kept-tensors.js'
import type { PooledScorer } from './pooled-scorer.js'
import { separationAuc, spearman } from './rank-statistics.js'
import type { Reservoir } from './reservoir.js'
import { SignProjection } from './sign-projection.js'
import { cosineOf } from './unit-vectors.js'
import type { HalfScores } from './within-sources.js'

/** How a score is solved for and said. */
export interface ContrastiveScorerOptions {
  /** Share of the mean variance in every direction, in [0, 1]. */
  readonly shrinkage: number
  /** K: wider states are projected to so many dimensions. */
  readonly projection: number
  /** Training samples that are embedded together with the anchors. */
  readonly background: number
  /** Standard deviations above the mean sample, cut at 8 and divided by it; or the logarithm of the odds. */
  readonly form: 'standard' | 'odds'
  /** Share of the training samples that are like the anchors, in (0, 1). */
  readonly prior: number
}

/** What a step's mean keeps of the one before. */
const MEAN_DECAY = 0.9

/**
 * Tells anchors from training samples by a linear discriminant ({@link solveDiscriminant}), solved whenever the anchors are embedded.
 *
 *   odds      s = <v, phi - m> - <v, mu_A - m>/2 + ln(pi / (1 - pi))
 *   standard  s = clip(<v, phi - m> / sqrt(v^T Sigma v), -8, 8) / 8
 *
 * A model in training moves all states, so that old ones differ from new ones more than anchors from anything. So every difference is taken
 * within one model: m is the mean of training samples that are embedded together with the anchors, and follows the means of the steps
 * after that (0.9 of the last one); Sigma is the covariance of remembered samples around the mean of their own step.
 */
export class ContrastiveScorer implements PooledScorer {
  private readonly kept = new KeptTensors(['anchors', 'direction', 'mean'])
  private offset = 0
  private figures: Readonly<Record<string, number>> = {}
  /** Of what was remembered when v was solved for last; undefined where that failed, or for one anchor. */
  private halfScores: HalfScores | undefined
  /** float64, of wider states than K: made once, the same in every run. */
  private projection_DK: Tensor | undefined

  constructor(
    private readonly options: ContrastiveScorerOptions,
    private readonly reservoir: Reservoir,
  ) {}

  get anchors(): Tensor | undefined {
    return this.kept.get('anchors')
  }

  /** v, float32. */
  private get direction(): Tensor | undefined {
    return this.kept.get('direction')
  }

  /** What a score is a product with, [1, D]. */
  get centroid(): Tensor | undefined {
    const direction = this.direction
    return direction && reshape(direction, [1, direction.shape[0]!])
  }

  /** m, float32. */
  get mean(): Tensor | undefined {
    return this.kept.get('mean')
  }

  get background(): number {
    return this.options.background
  }

  /** Around m. */
  unit(pooled_ND: Tensor): Tensor {
    const mean_D = this.mean
    return scope(() => nn.unitRows(pooled_ND, mean_D))
  }

  scores(pooled_ND: Tensor): Tensor {
    const mean_D = this.mean
    return scope(() => this.scoresOf(mean_D ? sub(pooled_ND, mean_D) : pooled_ND))
  }

  /** float32 [N] of centred states; 0 while there is no v. */
  private scoresOf(centred_ND: Tensor): Tensor {
    const { offset, options } = this
    const direction_D = this.direction
    if (!direction_D) return zeros([centred_ND.shape[0]!], { device: centred_ND.device })
    return noGrad(() =>
      scope(() => {
        const score_N = add(nn.dotRows(centred_ND, direction_D), offset)
        return options.form === 'odds' ? score_N : div(clamp(score_N, -Z_RANGE, Z_RANGE), Z_RANGE)
      }),
    )
  }

  setAnchors(make: () => Tensor, _batches: readonly Batch[], makeBackground: () => Tensor): void {
    this.kept.replace('anchors', make)
    noGrad(() =>
      scope(() => {
        const mean_D = mean(toDType(makeBackground(), 'float64'), 0)
        this.kept.replace('mean', () => toDType(mean_D, 'float32'))
        this.solve(mean_D)
      }),
    )
  }

  /** Around the mean of their step, as many times n / (n - 1) as makes their squares unbiased; one alone around the means before it. */
  toRemember(seen_ND: Tensor): Tensor | undefined {
    const N = seen_ND.shape[0]!
    if (N > 1) return mul(sub(seen_ND, mean(seen_ND, 0, true)), Math.sqrt(N / (N - 1)))
    return this.mean && sub(seen_ND, this.mean)
  }

  learn(seen_ND: Tensor | undefined): boolean {
    const mean_D = this.mean
    if (seen_ND === undefined) return false
    const step_D = mean(toDType(seen_ND, 'float64'), 0)
    this.kept.replace('mean', () =>
      toDType(mean_D ? add(mul(step_D, 1 - MEAN_DECAY), mul(mean_D, MEAN_DECAY)) : step_D, 'float32'),
    )
    return false
  }

  /** Nothing changes where samples do not vary. @param mean_D  Of the background, float64. */
  private solve(mean_D: Tensor): void {
    const { options } = this
    this.halfScores = undefined
    const residual_RD = this.reservoir.rows()
    if (!residual_RD) return
    const [R, D] = residual_RD.shape as [number, number]
    if (D > options.projection) {
      this.projection_DK ??= randomSigns(D, options.projection, residual_RD.device).persist()
    }
    const project = (rows: Tensor) => {
      const exact = toDType(rows, 'float64')
      return this.projection_DK ? matmul(exact, this.projection_DK) : exact
    }
    const residual_RK = project(residual_RD)
    const K = residual_RK.shape[1]!
    const covariance_KK = div(matmul(transpose(residual_RK, 0, 1), residual_RK), R)
    const anchors_VK = project(sub(toDType(this.anchors!, 'float64'), mean_D))
    // One copy to the host.
    const host = cat([reshape(covariance_KK, [K * K]), reshape(anchors_VK, [-1])]).toFloat64Array()
    const discriminant = solveDiscriminant({
      covariance: host.subarray(0, K * K),
      anchors: host.subarray(K * K),
      K,
      shrinkage: options.shrinkage,
    })
    if (discriminant) this.take(discriminant, residual_RD)
  }

  private take(discriminant: Discriminant, residual_RD: Tensor): void {
    const { form, prior } = this.options
    const { direction, distance, deviation } = discriminant
    const { device } = residual_RD
    const scale = form === 'odds' ? 1 : 1 / deviation
    const next_D = toDType(mul(this.inStates(direction, device), scale), 'float32')
    this.figures = this.describe(discriminant, next_D, residual_RD)
    this.offset = form === 'odds' ? Math.log(prior / (1 - prior)) - distance / 2 : 0
    this.kept.replace('direction', () => clone(next_D))
  }

  /** A direction of the discriminant as one of states: float64 [K] -> [D]. */
  private inStates(direction: Float64Array, device: Tensor['device']): Tensor {
    const { projection_DK } = this
    const v_K1 = tensor(direction, [direction.length, 1], { device })
    return reshape(projection_DK ? matmul(projection_DK, v_K1) : clone(v_K1), [-1])
  }

  /** @param residual_RD  What was remembered. */
  rescore(residual_RD: Tensor): Float64Array {
    return scope(() => this.scoresOf(residual_RD).toFloat64Array())
  }

  /** What a solution is worth, beside the one before it. Equations: docs/methods/adapt-contrastive.md. */
  private describe(
    { distance, deviation, others, halves }: Discriminant,
    next_D: Tensor,
    residual_RD: Tensor,
  ): Readonly<Record<string, number>> {
    const direction_D = this.direction
    const along = (v_D: Tensor) => nn.dotRows(residual_RD, v_D).toFloat64Array()
    const scores = along(next_D)
    const figures: Record<string, number> = { squaredDistance: distance }
    if (others && halves) {
      const ofHalf = (half: Float64Array) =>
        along(toDType(this.inStates(half, residual_RD.device), 'float32'))
      const [first, second] = [ofHalf(halves[0]), ofHalf(halves[1])]
      this.halfScores = [first, second]
      figures.splitHalfReliability = spearman(first, second)
      // Both as <v, x> less half of <v, mean anchor>.
      const scale = this.options.form === 'odds' ? 1 : deviation
      const ratios = scores.map((score) => score * scale - distance / 2)
      figures.separationAuc = separationAuc(others, ratios)
    }
    if (direction_D) {
      figures.staleness = 1 - cosineOf(direction_D, next_D)
      figures.stalenessSpearman = spearman(along(direction_D), scores)
    }
    return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)))
  }

  /** v is linear in the mean anchor, so scores are the mean of those of its halves. Without the cut, which few samples meet. */
  halves(): HalfScores | undefined {
    return this.halfScores
  }

  /** Of the last solution. */
  diagnostics(): Readonly<Record<string, number>> {
    return this.figures
  }

  state(): PluginState {
    return { json: { offset: this.offset }, tensors: this.kept.state() }
  }

  load({ json, tensors }: PluginState): void {
    this.offset = Number(json.offset)
    this.kept.load(tensors)
  }

  dispose(): void {
    this.projection_DK?.dispose()
    this.projection_DK = undefined
    this.kept.dispose()
  }
}

/** float64 [D, K]; belongs to the current scope. */
function randomSigns(D: number, K: number, device: Tensor['device']): Tensor {
  const identity = new Float32Array(D * D)
  for (let i = 0; i < D; i++) identity[i * D + i] = 1
  using projection = new SignProjection(K, 0)
  return toDType(projection.apply(tensor(identity, [D, D], { device })), 'float64')
}
