import { describe, expect, it } from 'vitest'
import { averageTasks } from './average-tasks.js'
import type { TaskFigure } from './run-event.js'

const figure = (
  task: string,
  value: number,
  documents: number,
  more: Partial<TaskFigure> = {},
): TaskFigure => ({
  ...{ task, kind: 'task', alias: task, documents, numFewShot: 0, metric: 'acc', filter: 'none', value },
  ...{ error: Math.sqrt((value * (1 - value)) / (documents - 1)), higherIsBetter: true, ...more },
})

describe('averages over tasks', () => {
  const figures = [
    figure('a', 0.5, 101, { anchored: true }),
    figure('a', 0.9, 101, { metric: 'acc_norm', anchored: true }),
    figure('b', 0.2, 401, { anchored: false }),
    figure('c', 0.8, 26, { anchored: false }),
    figure('text', 31, 9, { metric: 'word_perplexity', anchored: false }),
    figure('all', 0.7, 528, { kind: 'group' }),
  ]

  it('take the first share of right answers of each task: alike, by documents, anchored and unseen', () => {
    const found = averageTasks(figures)
    expect(found.map(({ name, tasks, documents }) => [name, tasks, documents])).toEqual([
      ...[
        ['macro', 3, 528],
        ['micro', 3, 528],
      ],
      ...[
        ['anchored', 1, 101],
        ['unseen', 2, 427],
      ],
    ])
    const values = found.map(({ value }) => value)
    expect(values[0]).toBeCloseTo(0.5, 12)
    expect(values[1]).toBeCloseTo((0.5 * 101 + 0.2 * 401 + 0.8 * 26) / 528, 12)
    expect(values.slice(2)).toEqual([0.5, 0.5])
    // Errors 0.05, 0.02 and 0.08.
    expect(found[0]!.error).toBeCloseTo(Math.hypot(0.05, 0.02, 0.08) / 3, 12)
    expect(found[3]!.error).toBeCloseTo(Math.hypot(0.02, 0.08) / 2, 12)
  })

  it('are macro and micro alone where no anchors are known, and none of one task', () => {
    const unknown = figures.map(({ anchored: _, ...rest }) => rest)
    expect(averageTasks(unknown).map(({ name }) => name)).toEqual(['macro', 'micro'])
    expect(averageTasks(figures.slice(0, 2))).toEqual([])
  })
})
