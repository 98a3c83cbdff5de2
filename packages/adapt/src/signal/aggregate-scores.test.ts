import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { AGGREGATES, type Aggregate, aggregateScores, scorerOf, scoreUnits } from './aggregate-scores.js'
import { asOneTask, taskCentroids } from './anchor-tasks.js'
import { TaskMoments } from './task-moments.js'

const matrix = (rows: readonly (readonly number[])[]) =>
  tensor(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length])
const optionsOf = (aggregate: Aggregate, moments = new TaskMoments()) => ({ aggregate, lseBeta: 10, moments })

/** Three tasks with 2, 1 and 1 anchors whose centroids are (0.6, 0.2), (0.1, 0.7) and (-0.2, 0.3). */
const ANCHORS = [
  [0.6, 0.5],
  [0.6, -0.1],
  [0.1, 0.7],
  [-0.2, 0.3],
]
const TASKS = { names: ['a', 'b', 'c'], of: [0, 0, 1, 2], counts: [2, 1, 1] }

function score(aggregate: Aggregate, moments?: TaskMoments): number {
  return scope(() => {
    const tasks = aggregate === 'micro' ? asOneTask(TASKS) : TASKS
    const scorer = scorerOf(taskCentroids(matrix(ANCHORS), tasks), aggregate)
    return scoreUnits(matrix([[0.8, 0.6]]), scorer, optionsOf(aggregate, moments)).item()
  })
}

describe('an aggregate of tasks', () => {
  it.each([
    ['micro', 0.43],
    ['macro', 0.373333],
    ['max', 0.6],
    ['lse', 0.521686],
  ] as const)('%s gives the worked score %d from task scores 0.60, 0.50, 0.02', (aggregate, expected) => {
    expect(score(aggregate)).toBeCloseTo(expected, 6)
  })

  it('compares with one vector where one is enough', () => {
    const rowsOf = (aggregate: Aggregate) =>
      scope(() => scorerOf(taskCentroids(matrix(ANCHORS), TASKS), aggregate).shape[0])
    expect(rowsOf('macro')).toBe(1)
    expect(rowsOf('max')).toBe(3)
  })

  it.each(AGGREGATES.filter((name) => name !== 'zmax'))('%s of one task is its own score', (aggregate) => {
    scope(() => {
      const scores = aggregateScores(matrix([[0.25], [-0.5]]), optionsOf(aggregate)).toFloat64Array()
      expect(scores[0]).toBeCloseTo(0.25, 6)
      expect(scores[1]).toBeCloseTo(-0.5, 6)
    })
  })
})

/** Scores of tasks, row by row. */
const scoresOf = (values: readonly number[], numTasks: number) =>
  tensor(Float64Array.from(values), [values.length / numTasks, numTasks])
const means = (moments: TaskMoments) => scope(() => [...moments.means('cpu').toFloat64Array()])
const deviations = (moments: TaskMoments) => scope(() => [...moments.deviations('cpu').toFloat64Array()])

describe('zmax', () => {
  it('is 0 before there are moments', () => {
    expect(score('zmax')).toBe(0)
  })

  it('takes the task in which the sample stands out most, in standard deviations over 8', () => {
    const moments = new TaskMoments()
    // Means 0.5, 0.4, 0; deviations 0.1, 0.01, 0.1: z = 1, 10, 0.2.
    moments.replace(scoresOf([0.6, 0.41, 0.1, 0.4, 0.39, -0.1], 3))
    expect(means(moments)[1]).toBeCloseTo(0.4, 12)
    expect(deviations(moments)[1]).toBeCloseTo(0.01, 12)
    expect(score('zmax', moments)).toBe(1)
    const wide = new TaskMoments()
    // Deviations 0.1, 0.2, 0.1: z = 1, 0.5, 0.2, so the first task wins.
    wide.replace(scoresOf([0.6, 0.6, 0.1, 0.4, 0.2, -0.1], 3))
    expect(score('zmax', wide)).toBeCloseTo(1 / 8, 5)
  })

  it('takes rounding noise for no deviation', () => {
    const moments = new TaskMoments()
    moments.replace(scoresOf([0.5, 0.5 + 1e-8], 1))
    expect(deviations(moments)).toEqual([1e-4])
  })
})

describe('TaskMoments', () => {
  it('forgets one per cent a step, goes on from its state and starts over when replaced', () => {
    const moments = new TaskMoments()
    moments.add(scoresOf([1, 10, 3, 30], 2))
    moments.add(scoresOf([5, 50], 2))
    const total = 2 * 0.99 + 1
    expect(means(moments)[0]).toBeCloseTo((4 * 0.99 + 5) / total, 12)
    expect(means(moments)[1]).toBeCloseTo((40 * 0.99 + 50) / total, 12)
    const other = new TaskMoments()
    other.load(JSON.parse(JSON.stringify(moments.state())))
    expect(deviations(other)).toEqual(deviations(moments))
    moments.add(scoresOf([], 2))
    expect(moments.state()).toEqual(other.state())
    moments.replace(scoresOf([2, 2], 2))
    expect(means(moments)).toEqual([2, 2])
    expect(new TaskMoments().isEmpty).toBe(true)
  })
})
