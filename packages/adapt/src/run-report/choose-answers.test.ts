import { describe, expect, it } from 'vitest'
import type { TaskFigure } from '../record/index.js'
import { chooseAnswers } from './choose-answers.js'
import { parseTaskSample, type TaskSample } from './read-task-samples.js'

const figure = (task: string, metric = 'acc'): TaskFigure => ({
  ...{ task, kind: 'task', alias: `The ${task}`, documents: 9, metric, filter: 'none' },
  ...{ value: 0.5, error: 0.1, higherIsBetter: true },
})
const sample = (more: Readonly<Record<string, unknown>>): TaskSample =>
  parseTaskSample(
    JSON.stringify({
      ...{ doc_id: 0, target: 1, filter: 'none', doc_hash: 'h', metrics: ['acc'], acc: 0 },
      arguments: [
        ['Q:', ' a'],
        ['Q:', ' b'],
      ],
      filtered_resps: [
        [-1, true],
        [-2, false],
      ],
      ...more,
    }),
    'here',
  )
const chosen = (samples: readonly TaskSample[], metric?: string) =>
  chooseAnswers([figure('t', metric)], () => samples)

describe('answers that a page shows', () => {
  it('have the choices, the right one by its place or its text, and not those without context', () => {
    const [byPlace, byText, doubled] = chosen([
      sample({}),
      sample({ doc_id: 1, target: 'b' }),
      sample({
        ...{ doc_id: 2, metrics: ['acc', 'acc_mutual_info'] },
        arguments: [
          ['Q:', ' a'],
          ['Q:', ' b'],
          ['', ' a'],
          ['', ' b'],
        ],
        filtered_resps: [
          [-1, true],
          [-2, false],
          [-3, false],
          [-4, false],
        ],
      }),
    ])
    const choices = [
      { text: ' a', logLikelihood: -1, isTarget: false },
      { text: ' b', logLikelihood: -2, isTarget: true },
    ]
    for (const answer of [byPlace, byText, doubled])
      expect(answer).toMatchObject({ task: 'The t', isRight: false, prompt: 'Q:', choices })
  })

  it('are contexts where those differ, and texts where the model wrote one', () => {
    const [partial] = chosen([
      sample({
        acc: 1,
        arguments: [
          ['He', ' ran'],
          ['She', ' ran'],
        ],
      }),
    ])
    expect(partial).toMatchObject({ prompt: '', isRight: true })
    expect(partial!.choices.map(({ text, isTarget }) => [text, isTarget])).toEqual([
      ...[
        ['He ran', true],
        ['She ran', false],
      ],
    ])
    const written = sample({ arguments: [['Q:', {}]], filtered_resps: ['4'], target: 5, exact_match: 1 })
    expect(chosen([written], 'exact_match')).toMatchObject([
      { isRight: true, choices: [], written: '4', target: '5' },
    ])
  })

  it('are the first six of each kind, of one filter, and fewer where there are many tasks', () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      sample({ doc_id: i, acc: i % 4 === 0 ? 1 : 0, filter: i === 0 ? 'other' : 'none' }),
    )
    const right = chosen(many).filter(({ isRight }) => isRight)
    expect(right.map(({ document }) => document)).toEqual([4, 8, 12, 16, 20, 24])
    expect(chosen(many)).toHaveLength(12)
    const tasks = Array.from({ length: 60 }, (_, i) => figure(`t${i}`))
    expect(chooseAnswers(tasks, () => many)).toHaveLength(120)
  })

  it('refuses a line that is no sample', () => {
    expect(() => parseTaskSample('{"doc_id": 1}', 'file:3')).toThrow(/^file:3: expected a sample of a task/)
  })
})
