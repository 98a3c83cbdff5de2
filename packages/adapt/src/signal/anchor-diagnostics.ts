/** V anchors, R training samples, K tasks, D width, G rows of a scorer. */
import {
  div,
  matmul,
  mean,
  mul,
  noGrad,
  norm,
  reshape,
  scope,
  sub,
  sum,
  type Tensor,
  tensor,
  transpose,
} from '@adapt-ts/torch'
import { type AggregateOptions, aggregateScores, scoreUnits, taskScores } from './aggregate-scores.js'
import { type AnchorTasks, asOneTask, halvedTasks, taskCentroids } from './anchor-tasks.js'
import { separationAuc, spearman } from './rank-statistics.js'
import { cosineOf, lengthOf } from './unit-vectors.js'

/** What {@link anchorDiagnostics} looks at. */
export interface DiagnosticsInput {
  /** Unit vectors of the anchors, of centred vectors when the signal is centred: [V, D]. */
  readonly unit_VD: Tensor
  readonly tasks: AnchorTasks
  readonly aggregate: AggregateOptions
  /** What samples are compared with: [G, D]. */
  readonly scorer_GD: Tensor
  /** The same before this refresh. */
  readonly previous_GD?: Tensor | undefined
  /** Unit vectors of training samples, centred as the anchors: [R, D]. */
  readonly training_RD?: Tensor | undefined
}

/** Fewer scores than this have no rank order worth a figure. */
const MIN_TRAINING = 3

/**
 * What a set of anchors is worth, as far as it can be told from the vectors at hand; figures that cannot be
 * computed (no training samples yet, one anchor) are left out. Equations: docs/methods/anchors.md.
 */
export function anchorDiagnostics(input: DiagnosticsInput): Record<string, number> {
  const figures = noGrad(() =>
    scope(() => ({
      ...ofAnchors(input),
      ...ofTraining(input),
      ...ofChange(input),
    })),
  )
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => Number.isFinite(value)))
}

function ofAnchors({ unit_VD, tasks, scorer_GD }: DiagnosticsInput): Record<string, number> {
  const [V, D] = unit_VD.shape as [number, number]
  const transposed_DV = transpose(unit_VD, 0, 1)
  // U U^T and U^T U have the same non-zero eigenvalues: the smaller one gives sum lambda^2.
  const gram = V <= D ? matmul(unit_VD, transposed_DV) : matmul(transposed_DV, unit_VD)
  const trace = sum(mul(unit_VD, unit_VD)).item()
  const figures: Record<string, number> = {
    resultantLength: lengthOf(mean(scorer_GD, 0)),
    participationRatio: (trace / lengthOf(gram)) ** 2,
  }
  if (tasks.names.length > 1) {
    const lengths = norm(taskCentroids(unit_VD, tasks), -1).toFloat64Array()
    for (const [k, name] of tasks.names.entries()) figures[`resultantLength.${name}`] = lengths[k]!
  }
  return figures
}

function ofTraining(input: DiagnosticsInput): Record<string, number> {
  const { unit_VD, aggregate, scorer_GD, training_RD } = input
  const R = training_RD?.shape[0] ?? 0
  if (!training_RD || R < MIN_TRAINING) return {}
  const squares = sum(mul(training_RD, training_RD)).item()
  // |sum u|^2 counts every ordered pair; what is left without the samples with themselves is the mean cosine.
  const anisotropy = (lengthOf(sum(training_RD, 0)) ** 2 - squares) / (R * (R - 1))
  const figures: Record<string, number> = { anisotropy }
  if (aggregate.aggregate !== 'zmax') {
    figures.scoreAboveAnisotropy = mean(scoreUnits(training_RD, scorer_GD, aggregate)).item() - anisotropy
  }
  if (unit_VD.shape[0]! >= 2) {
    figures.splitHalfReliability = splitHalf(input, training_RD)
    figures.separationAuc = separation(input, training_RD)
  }
  return figures
}

/** Spearman between the scores that two random halves of the anchors give. */
function splitHalf({ unit_VD, tasks }: DiagnosticsInput, training_RD: Tensor): number {
  const halves_2D = taskCentroids(unit_VD, halvedTasks(asOneTask(tasks)))
  const scores = taskScores(training_RD, halves_2D).toFloat64Array()
  const half = (h: number) => Float64Array.from({ length: scores.length / 2 }, (_, i) => scores[2 * i + h]!)
  return spearman(half(0), half(1))
}

/**
 * AUC of the anchors' scores against those of training samples. An anchor is scored by the others: its own part
 * |u|^2 = 1 is taken out of its task's mean. One that is alone in its task cannot be and is left out.
 */
function separation({ unit_VD, tasks, aggregate }: DiagnosticsInput, training_RD: Tensor): number {
  const { names, of, counts } = aggregate.aggregate === 'micro' ? asOneTask(tasks) : tasks
  const K = names.length
  const V = of.length
  const centroids_KD = taskCentroids(unit_VD, { names, of, counts })
  const task_VK = taskScores(unit_VD, centroids_KD)
  const own = new Float32Array(V * K)
  const scale = new Float32Array(V * K).fill(1)
  for (const [v, task] of of.entries()) {
    own[v * K + task] = 1
    scale[v * K + task] = Math.max(1, counts[task]! - 1) / counts[task]!
  }
  const matrix = (values: Float32Array) => tensor(values, [V, K], { device: unit_VD.device })
  // (n s - |u|^2) / (n - 1) = (s - |u|^2 / n) / ((n - 1) / n)
  const perCount = Float32Array.from(of, (task) => 1 / counts[task]!)
  const self_V1 = mul(
    reshape(sum(mul(unit_VD, unit_VD), -1), [V, 1]),
    tensor(perCount, [V, 1], { device: unit_VD.device }),
  )
  const others_VK = div(sub(task_VK, mul(matrix(own), self_V1)), matrix(scale))
  const anchorScores = aggregateScores(others_VK, aggregate)
    .toFloat64Array()
    .filter((_, v) => counts[of[v]!]! > 1)
  const trainingScores = aggregateScores(taskScores(training_RD, centroids_KD), aggregate).toFloat64Array()
  return separationAuc(anchorScores, trainingScores)
}

function ofChange(input: DiagnosticsInput): Record<string, number> {
  const { scorer_GD, previous_GD, training_RD, aggregate } = input
  if (!previous_GD) return {}
  const figures: Record<string, number> = {
    staleness: 1 - cosineOf(mean(previous_GD, 0), mean(scorer_GD, 0)),
  }
  if (training_RD && training_RD.shape[0]! >= MIN_TRAINING) {
    const scores = (scorer: Tensor) => scoreUnits(training_RD, scorer, aggregate).toFloat64Array()
    figures.stalenessSpearman = spearman(scores(previous_GD), scores(scorer_GD))
  }
  return figures
}
