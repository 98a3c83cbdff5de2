import { nn, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { type Aggregate, scorerOf } from './aggregate-scores.js'
import { anchorDiagnostics } from './anchor-diagnostics.js'
import { asOneTask, taskCentroids } from './anchor-tasks.js'
import { TaskMoments } from './task-moments.js'

type Vectors = readonly (readonly number[])[]
const matrix = (rows: Vectors) =>
  nn.unitRows(tensor(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]))
const normalise = (v: readonly number[]) => v.map((x) => x / Math.hypot(...v))
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** Repeatable vectors around a direction. */
const cloud = (count: number, direction: readonly number[], seed: number): Vectors =>
  Array.from({ length: count }, (_, i) =>
    direction.map((x, d) => x + Math.sin(seed + 12.9898 * (i + 1) * (d + 1)) * 0.7),
  )

function diagnose(
  anchors: Vectors,
  options: {
    readonly training?: Vectors
    readonly tasks?: readonly string[]
    readonly aggregate?: Aggregate
    readonly previous?: Vectors
  } = {},
): Record<string, number> {
  const { training, tasks = anchors.map(() => 's'), aggregate = 'micro', previous } = options
  const names = [...new Set(tasks)].sort()
  const of = tasks.map((task) => names.indexOf(task))
  const all = { names, of, counts: names.map((_, k) => of.filter((task) => task === k).length) }
  return scope(() => {
    const scorer = (vectors: Vectors) =>
      scorerOf(taskCentroids(matrix(vectors), aggregate === 'micro' ? asOneTask(all) : all), aggregate)
    return anchorDiagnostics({
      unit_VD: matrix(anchors),
      tasks: all,
      aggregate: { aggregate, lseBeta: 10, moments: new TaskMoments() },
      scorer_GD: scorer(anchors),
      previous_GD: previous && scorer(previous),
      training_RD: training && matrix(training),
    })
  })
}

const WORKED: Vectors = [
  [1, 0, 0],
  [0, 3, 4],
  [1, 1, 1],
]
const ANCHORS = cloud(12, [1, 0.2, 0.1, 0], 3)
const TRAINING = cloud(40, [0.2, 0.8, 0.1, 0.3], 77)

describe('anchorDiagnostics', () => {
  it('gives the worked resultant length and number of effective anchors, whichever Gram matrix is smaller', () => {
    for (const pad of [[], [0, 0, 0]]) {
      const figures = diagnose(WORKED.map((v) => [...v, ...pad]))
      expect(figures.resultantLength).toBeCloseTo(0.800783, 6)
      expect(figures.participationRatio).toBeCloseTo(1.809651, 5)
    }
    const wide = diagnose([...WORKED, ...WORKED, ...WORKED])
    expect(wide.participationRatio).toBeCloseTo(1.809651, 5)
  })

  it('leaves out what cannot be known yet', () => {
    expect(Object.keys(diagnose(WORKED)).sort()).toEqual(['participationRatio', 'resultantLength'])
    const alone = diagnose([[1, 2]], {
      training: [
        [1, 0],
        [0, 1],
        [1, 1],
      ],
    })
    expect(alone).not.toHaveProperty('splitHalfReliability')
    expect(alone).not.toHaveProperty('separationAuc')
    expect(alone.anisotropy).toBeGreaterThan(0)
  })

  it('gives the resultant length of each of several tasks', () => {
    const figures = diagnose(
      [
        [1, 0],
        [0, 1],
        [1, 0],
      ],
      { tasks: ['b', 'b', 'a'] },
    )
    expect(figures['resultantLength.a']).toBeCloseTo(1, 6)
    expect(figures['resultantLength.b']).toBeCloseTo(Math.SQRT1_2, 6)
    expect(figures.resultantLength).toBeCloseTo(Math.hypot(2, 1) / 3, 6)
  })

  it('finds the mean cosine of training pairs without looking at pairs', () => {
    const unit = TRAINING.map(normalise)
    const cosines = unit.flatMap((a, i) => unit.slice(i + 1).map((b) => dot(a, b)))
    const centroid = ANCHORS.map(normalise).reduce(
      (sum, u) => sum.map((x, d) => x + u[d]! / ANCHORS.length),
      [0, 0, 0, 0],
    )
    const figures = diagnose(ANCHORS, { training: TRAINING })
    expect(figures.anisotropy).toBeCloseTo(mean(cosines), 5)
    const scores = unit.map((u) => dot(u, centroid))
    expect(figures.scoreAboveAnisotropy).toBeCloseTo(mean(scores) - mean(cosines), 5)
  })

  it.each<[Aggregate, readonly string[]]>([
    ['micro', ANCHORS.map(() => 's')],
    ['macro', ANCHORS.map((_, i) => (i < 4 ? 'a' : 'b'))],
    ['max', ANCHORS.map((_, i) => (i < 1 ? 'alone' : i < 4 ? 'a' : 'b'))],
    ['lse', ANCHORS.map((_, i) => (i < 3 ? 'a' : 'b'))],
  ])('scores each anchor by the others for the separation (%s)', (aggregate, tasks) => {
    const combine = (cosinesByTask: Map<string, number[]>) => {
      const scores = [...cosinesByTask.values()].map(mean)
      if (aggregate === 'lse') return Math.log(mean(scores.map((s) => Math.exp(10 * s)))) / 10
      return aggregate === 'max' ? Math.max(...scores) : mean(scores)
    }
    const scoreOf = (x: readonly number[], leaveOut: number) => {
      const byTask = new Map<string, number[]>()
      for (const [v, anchor] of ANCHORS.entries()) {
        const list = byTask.get(tasks[v]!) ?? []
        byTask.set(tasks[v]!, list)
        if (v !== leaveOut) list.push(dot(normalise(x), normalise(anchor)))
      }
      return combine(byTask)
    }
    const anchorScores = ANCHORS.flatMap((x, v) => (tasks[v] === 'alone' ? [] : [scoreOf(x, v)]))
    const trainingScores = TRAINING.map((x) => scoreOf(x, -1))
    let wins = 0
    for (const a of anchorScores) for (const t of trainingScores) wins += a > t ? 1 : 0
    const expected = wins / (anchorScores.length * trainingScores.length)
    expect(expected).toBeGreaterThan(0.5)
    expect(expected).toBeLessThan(1)
    expect(diagnose(ANCHORS, { training: TRAINING, tasks, aggregate }).separationAuc).toBeCloseTo(expected, 6)
  })

  it('finds halves that agree where all anchors are alike, and the same figure every time', () => {
    const alike = cloud(20, [9, 0, 0, 0], 5)
    const scattered = cloud(6, [0, 0, 0, 0], 8)
    const reliability = (anchors: Vectors) => diagnose(anchors, { training: TRAINING }).splitHalfReliability!
    expect(reliability(alike)).toBeGreaterThan(0.97)
    expect(reliability(scattered)).toBeLessThan(0.9)
    expect(reliability(scattered)).toBe(reliability(scattered))
  })

  it('compares with the anchors before: 0.023813 from (0.6, 0.2) to (0.5, 0.3), and the order of scores', () => {
    const pair = (x: number, y: number): Vectors => {
      const side = Math.sqrt(1 - x * x - y * y) / Math.hypot(x, y)
      return [
        [x - side * y, y + side * x],
        [x + side * y, y - side * x],
      ]
    }
    const training = [
      [1, 0.1],
      [0.5, 1],
      [-1, 0.2],
      [0, -1],
    ]
    const figures = diagnose(pair(0.5, 0.3), { previous: pair(0.6, 0.2), training })
    expect(figures.staleness).toBeCloseTo(0.023813, 5)
    expect(figures.stalenessSpearman).toBe(1)
    const turned = diagnose(
      [
        [0, 1],
        [0, 1],
      ],
      {
        previous: [
          [1, 0],
          [1, 0],
        ],
        training,
      },
    )
    expect(turned.staleness).toBeCloseTo(1, 6)
    // Scores 0.995, 0.447, -0.98, 0 before; 0.0995, 0.894, 0.196, -1 now: ranks 4 3 1 2 and 2 4 3 1.
    expect(turned.stalenessSpearman).toBeCloseTo(0, 6)
  })
})
