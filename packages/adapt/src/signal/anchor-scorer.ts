/** N samples, V anchors, D width, G rows of the scorer: 1, or one for each task. */
import { add, cat, mul, narrow, nn, noGrad, scope, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import type { PluginState } from '../method/index.js'
import {
  type Aggregate,
  type AggregateOptions,
  scorerOf,
  scoreUnits,
  taskScores,
} from './aggregate-scores.js'
import { anchorDiagnostics } from './anchor-diagnostics.js'
import { type AnchorTasks, anchorTasks, asOneTask, halvedTasks, taskCentroids } from './anchor-tasks.js'
import { KeptTensors } from './kept-tensors.js'
import type { PooledScorer } from './pooled-scorer.js'
import type { Reservoir } from './reservoir.js'
import { TaskMoments } from './task-moments.js'
import type { HalfScores } from './within-sources.js'

/** How similarities become a score. */
export interface AnchorScorerOptions {
  readonly aggregate: Aggregate
  /** Sharpness of `lse`. */
  readonly lseBeta: number
  /** Subtract a mean from samples and anchors before normalising. */
  readonly center: boolean
  /** Share of the new centroid when anchors are embedded anew, in (0, 1]. */
  readonly centroidEma: number
}

/**
 * Scores pooled vectors against anchors: keeps the raw anchors, the mean that is subtracted from everything, what samples are compared with and the
 * moments of the tasks' scores (`zmax`). Its tensors are its own until `dispose`.
 */
export class AnchorScorer implements PooledScorer {
  readonly moments = new TaskMoments()
  private readonly kept = new KeptTensors(['anchors', 'centroid', 'mean'])

  constructor(private readonly options: AnchorScorerOptions) {}

  /** Raw pooled anchors, [V, D]. */
  get anchors(): Tensor | undefined {
    return this.kept.get('anchors')
  }

  /** What samples are compared with now: c, float32 [1, D], or the centroid of each task, [K, D]. */
  get centroid(): Tensor | undefined {
    return this.kept.get('centroid')
  }

  /** What is subtracted, [D]. */
  get mean(): Tensor | undefined {
    return this.kept.get('mean')
  }

  /** Whether scores mean nothing yet: without the mean, or the moments, that they need. */
  get isBlind(): boolean {
    const { center, aggregate } = this.options
    return (center && !this.mean) || (aggregate === 'zmax' && this.moments.isEmpty)
  }

  private get aggregation(): AggregateOptions {
    const { aggregate, lseBeta } = this.options
    return { aggregate, lseBeta, moments: this.moments }
  }

  /** Unit vectors of pooled ones [N, D], after centring when that is asked for and a mean is known. */
  unit(pooled_ND: Tensor): Tensor {
    const { mean: mean_D } = this
    return scope(() => nn.unitRows(pooled_ND, this.options.center ? mean_D : undefined))
  }

  /**
   * float32 [N] of pooled vectors [N, D]; 0 while there is no mean.
   * @throws {ConfigError} NO_ANCHORS before the anchors were embedded.
   */
  scores(pooled_ND: Tensor): Tensor {
    const { centroid: scorer_GD } = this
    if (!scorer_GD)
      throw new ConfigError('NO_ANCHORS', 'the anchors were not embedded before the first score')
    if (this.options.center && !this.mean) return zeros([pooled_ND.shape[0]!], { device: pooled_ND.device })
    return scope(() => scoreUnits(this.unit(pooled_ND), scorer_GD, this.aggregation))
  }

  /** Takes raw pooled anchors, [V, D] in the order of the batches. @param background  Given when all of them are new: `centroidEma` then applies. */
  setAnchors(make: () => Tensor, batches: readonly Batch[], background?: () => Tensor): void {
    this.kept.replace('anchors', make)
    this.rebuild(batches, background !== undefined)
  }

  /** Takes a mean [D] to subtract. */
  setMean(make: () => Tensor, batches: readonly Batch[]): void {
    this.kept.replace('mean', make)
    this.rebuild(batches)
  }

  /** What samples are compared with, from the raw anchors and the mean in force; with an EMA, mixed with the old. */
  private rebuild(batches: readonly Batch[], mixWithOld = false): void {
    const { anchors: anchors_VD, centroid: scorer_GD } = this
    if (!anchors_VD) return
    const { centroidEma, aggregate } = this.options
    this.kept.replace('centroid', () => {
      const fresh_GD = scorerOf(taskCentroids(this.unit(anchors_VD), groupsOf(batches, aggregate)), aggregate)
      return mixWithOld && scorer_GD && centroidEma < 1
        ? add(mul(scorer_GD, 1 - centroidEma), mul(fresh_GD, centroidEma))
        : fresh_GD
    })
  }

  /**
   * A centring mean follows what was seen, and c with it. The first mean, and the first moments of `zmax`, give the samples that had to be
   * scored without them, all 0, their real scores.
   */
  learn(seen_ND: Tensor | undefined, reservoir: Reservoir, batches: readonly Batch[]): boolean {
    const wasBlind = this.isBlind
    if (seen_ND) this.addMoments(seen_ND)
    if (this.options.center) this.setMean(() => reservoir.mean()!, batches)
    return wasBlind
  }

  /** Counts the scores of these pooled samples [N, D] among those of the tasks. */
  addMoments(pooled_ND: Tensor): void {
    if (this.options.aggregate !== 'zmax') return
    const scorer_GD = this.centroid!
    this.moments.add(taskScores(this.unit(pooled_ND), scorer_GD))
  }

  /** The scores of the tasks that `zmax` compares with are from now on those of these pooled samples [N, D] alone; gives their scores. */
  rescore(pooled_ND: Tensor): Float64Array {
    return noGrad(() =>
      scope(() => {
        const unit_ND = this.unit(pooled_ND)
        const scorer_GD = this.centroid!
        if (this.options.aggregate === 'zmax') this.moments.replace(taskScores(unit_ND, scorer_GD))
        return scoreUnits(unit_ND, scorer_GD, this.aggregation).toFloat64Array()
      }),
    )
  }

  /** Tasks are halved one by one, so each needs two anchors; `zmax` compares with what its half gives these samples. */
  halves(batches: readonly Batch[], pooled_ND: Tensor): HalfScores | undefined {
    const { aggregate } = this.options
    if (!canHalve(batches, aggregate)) return undefined
    const halved = halvedTasks(groupsOf(batches, aggregate))
    const K = halved.names.length / 2
    return noGrad(() =>
      scope(() => {
        const centroids_2KD = taskCentroids(this.unit(this.anchors!), halved)
        const unit_ND = this.unit(pooled_ND)
        const scores = [0, K].map((start) => {
          const scorer_GD = scorerOf(narrow(centroids_2KD, 0, start, K), aggregate)
          using moments = new TaskMoments()
          if (aggregate === 'zmax') moments.replace(taskScores(unit_ND, scorer_GD))
          return scoreUnits(unit_ND, scorer_GD, { ...this.aggregation, moments })
        })
        // One copy to the host.
        const both = cat(scores).toFloat64Array()
        const N = both.length / 2
        return [both.subarray(0, N), both.subarray(N)]
      }),
    )
  }

  /** What the anchors are worth. @param previous_GD  What samples were compared with before. @param pooled_ND  Training samples. */
  diagnostics(
    batches: readonly Batch[],
    previous_GD?: Tensor,
    pooled_ND?: Tensor,
  ): Readonly<Record<string, number>> {
    return noGrad(() =>
      scope(() =>
        anchorDiagnostics({
          unit_VD: this.unit(this.anchors!),
          tasks: anchorTasks(batches),
          aggregate: this.aggregation,
          scorer_GD: this.centroid!,
          previous_GD,
          training_RD: pooled_ND && this.unit(pooled_ND),
        }),
      ),
    )
  }

  /** Its tensors by name, and the moments. */
  state(): PluginState {
    return { json: { moments: this.moments.state() }, tensors: this.kept.state() }
  }

  load({ json, tensors }: PluginState): void {
    this.moments.load(json.moments as Readonly<Record<string, unknown>>)
    this.kept.load(tensors)
  }

  dispose(): void {
    this.moments[Symbol.dispose]()
    this.kept.dispose()
  }
}

/** What one centroid is of. */
function groupsOf(batches: readonly Batch[], aggregate: Aggregate): AnchorTasks {
  const tasks = anchorTasks(batches)
  return aggregate === 'micro' ? asOneTask(tasks) : tasks
}

/** Whether every centroid is of two anchors or more, so that two halves of them can be compared. */
export function canHalve(batches: readonly Batch[], aggregate: Aggregate): boolean {
  return groupsOf(batches, aggregate).counts.every((count) => count > 1)
}
