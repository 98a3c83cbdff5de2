/** N samples, K tasks, D width, G rows of a scorer: 1 when one vector gives the score, else K. */
import {
  bind,
  clamp,
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
  toDType,
  transpose,
} from '@adapt-ts/torch'
import type { TaskMoments } from './task-moments.js'

const amax = bind('aten::amax')
const logsumexp = bind('aten::logsumexp')

/** How the similarities to several tasks become one score. */
export const AGGREGATES = ['micro', 'macro', 'max', 'lse', 'zmax'] as const
/** One of {@link AGGREGATES}. */
export type Aggregate = (typeof AGGREGATES)[number]

/** What turns the scores of tasks into one. */
export interface AggregateOptions {
  readonly aggregate: Aggregate
  /** b of `lse`, > 0. */
  readonly lseBeta: number
  /** Running mean and standard deviation per task; `zmax` gives 0 before there are any. */
  readonly moments: TaskMoments
}

/** z is clipped to this many standard deviations and divided by it, so that `zmax` lies in [-1, 1] as cosines do. */
export const Z_RANGE = 8

/**
 * Scores of tasks to one score a sample: [N, K] -> float32 [N].
 *
 *   micro  s_1 (all anchors are one task)        macro  mean_k s_k        max  max_k s_k
 *   lse    (1/b) ln mean_k exp(b s_k)            zmax   clip(max_k (s_k - m_k) / d_k, -8, 8) / 8
 */
export function aggregateScores(task_NK: Tensor, { aggregate, lseBeta, moments }: AggregateOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const [N, K] = task_NK.shape as [number, number]
      switch (aggregate) {
        case 'micro':
        case 'macro':
          return mean(task_NK, 1)
        case 'max':
          return amax(task_NK, [1]) as Tensor
        case 'lse':
          return div(sub(logsumexp(mul(task_NK, lseBeta), [1]) as Tensor, Math.log(K)), lseBeta)
        case 'zmax': {
          if (moments.isEmpty) return mul(reshape(mean(task_NK, 1), [N]), 0)
          const { device } = task_NK
          const row = (values_K: Tensor) => reshape(toDType(values_K, 'float32'), [1, K])
          const z_NK = div(sub(task_NK, row(moments.means(device))), row(moments.deviations(device)))
          return div(clamp(amax(z_NK, [1]) as Tensor, -Z_RANGE, Z_RANGE), Z_RANGE)
        }
      }
    }),
  )
}

/** What samples are compared with: the one vector that gives `micro` and `macro`, else the centroid of each task. */
export function scorerOf(centroids_KD: Tensor, aggregate: Aggregate): Tensor {
  // mean_k <x, c_k> = <x, mean_k c_k>: one product a sample, whatever the number of tasks.
  return aggregate === 'macro' ? scope(() => mean(centroids_KD, 0, true)) : centroids_KD
}

/** Similarities of unit vectors [N, D] to every row of a scorer: [N, G]. */
export function taskScores(unit_ND: Tensor, scorer_GD: Tensor): Tensor {
  return noGrad(() => scope(() => matmul(unit_ND, transpose(scorer_GD, 0, 1))))
}

/** Scores of unit vectors [N, D]: float32 [N]. */
export function scoreUnits(unit_ND: Tensor, scorer_GD: Tensor, options: AggregateOptions): Tensor {
  if (options.aggregate === 'micro' || options.aggregate === 'macro') return nn.dotRows(unit_ND, scorer_GD)
  return scope(() => aggregateScores(taskScores(unit_ND, scorer_GD), options))
}
