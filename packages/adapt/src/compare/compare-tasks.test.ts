import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RunEvent, TaskFigure } from '../record/index.js'
import type { CellRecord, CellTask } from './cell-record.js'
import { compareCells } from './compare-cells.js'
import { renderComparisonPage } from './comparison-report.js'
import { renderCsv, renderMarkdown } from './render-comparison.js'
import { studySchema } from './study-schema.js'
import { summarizeTasks } from './summarize-tasks.js'
import { taskTables } from './task-tables.js'

const arms = ['uniform', 'twin', 'adapt', 'late']
const study = studySchema.parse({
  ...{ base: 'run.yaml', seeds: [0, 1, 2], baseline: 'uniform', output_dir: 'runs/study' },
  arms: Object.fromEntries(arms.map((arm) => [arm, { method: 'uniform' }])),
})

const answered = (right: string, documents = 'd') => ({
  documents: right.length,
  value: [...right].filter((one) => one === '1').length / right.length,
  error: 0.1,
  answers: { documents, right },
})
const task = (name: string, right: string, more: Partial<CellTask> = {}): CellTask => ({
  ...{ task: name, alias: name, metric: 'acc', filter: 'none', ...answered(right), ...more },
})
function cell(arm: string, seed: number, tasks?: readonly CellTask[]): CellRecord {
  const cost = { flops_train: 60, flops_signal: 4, flops_preparation: 0, tokens: 10, seconds: 1 }
  return {
    ...{ schema_version: 2, arm, seed, hash: 'h', method: { preset: 'uniform' }, steps: 4 },
    ...{ bits_per_byte: { web: 1 }, edr: 1, ess_ratio: 1, mass_by_source: {}, uniform_mass_by_source: {} },
    ...{ target_mass: null, target_share: null, target_lift: null, cost, cost_with_trunk: cost },
    ...{ versions: {}, finished: 'now' },
    ...(tasks === undefined ? {} : { tasks: [...tasks] }),
  }
}

/** Ten documents of task a, four of task b; only `adapt` has anchors, so only its runs know that a is anchored. */
const known = { a: { anchored: true }, b: { anchored: false } }
const cells = [
  cell('uniform', 0, [task('a', '1100000000'), task('b', '1000')]),
  cell('uniform', 1, [task('a', '1110000000'), task('b', '1100')]),
  cell('uniform', 2, [task('a', '1111000000'), task('b', '1110')]),
  ...[0, 1, 2].map((seed) =>
    cell('twin', seed, [task('a', `${'1'.repeat(2 + seed)}${'0'.repeat(8 - seed)}`), task('b', '1100')]),
  ),
  cell('adapt', 0, [task('a', '0111111000', known.a), task('b', '1000', known.b)]),
  cell('adapt', 1, [task('a', '1111111000', known.a), task('b', '0110', known.b)]),
  cell('adapt', 2, [task('a', '1111111110', known.a), task('b', '1110', known.b)]),
  cell('late', 0, [task('a', '0000000001', { answers: { documents: 'others', right: '0000000001' } })]),
]
const compared = compareCells(study, cells, ['web'])
const taskOf = (name: string) => compared.tasks.find((one) => one.name === name)!
const on = (name: string, arm: string) => taskOf(name).arms.find((one) => one.arm === arm)!

describe('compareTasks', () => {
  it('pairs shares of right answers by seed, with the floor of the twin', () => {
    expect(compared.tasks.map(({ name }) => name)).toEqual(['macro', 'micro', 'anchored', 'unseen', 'a', 'b'])
    expect(on('a', 'adapt').paired).toMatchObject({
      seeds: [0, 1, 2],
      verdict: 'higher: interval excludes 0',
    })
    // 0.6 - 0.2, 0.7 - 0.3, 0.9 - 0.4.
    expect(on('a', 'adapt').paired!.mean).toBeCloseTo(13 / 30, 12)
    expect(taskOf('a').floor!.largest).toBe(0)
    expect(taskOf('b').floor!.largest).toBeCloseTo(0.25, 12)
    expect(on('b', 'adapt').paired!.verdict).toBe('below the floor')
  })

  it('averages what the arms were asked, anchored for all where it is for one', () => {
    expect([taskOf('a').anchored, taskOf('b').anchored]).toEqual([true, false])
    expect(on('macro', 'uniform').mean).toBeCloseTo((0.2 + 0.3 + 0.4 + 0.25 + 0.5 + 0.75) / 6, 12)
    expect(on('micro', 'uniform').mean).toBeCloseTo((3 + 5 + 7) / 42, 12)
    expect(on('anchored', 'uniform').mean).toBeCloseTo(0.3, 12)
    expect(on('unseen', 'adapt').paired!.mean).toBeCloseTo(0, 12)
  })

  it('pairs documents within a seed, and only those of the same task data', () => {
    expect(on('a', 'adapt').items[0]).toMatchObject({ seed: 0, onlyFirst: 1, onlySecond: 5 })
    expect(on('a', 'adapt').items[0]!.exactP).toBeCloseTo(0.21875, 12)
    expect(on('a', 'adapt').items[1]).toMatchObject({ onlyFirst: 0, onlySecond: 4 })
    expect(on('a', 'adapt').items[1]!.midP).toBeCloseTo(0.0625, 12)
    expect(on('a', 'late').paired!.seeds).toEqual([0])
    expect(on('a', 'late').items).toEqual([])
    expect(on('macro', 'adapt').items).toEqual([])
  })

  it('shows the same as tables, CSV, Markdown and page, and nothing without tasks', () => {
    const [seeds, items] = taskTables(compared)
    expect(seeds!.rows.find(([name]) => name === 'a')).toEqual([
      ...['a', 'anchored', 'uniform', '0.3000', '-', '-', '-', '-', '-', 'baseline'],
    ])
    expect(seeds!.rows.filter(([, , arm]) => arm === 'adapt')[4]).toEqual([
      ...['', '', 'adapt', '0.7333', '+0.4333', '[+0.2899, +0.5768]', '3 of 3', '0.250', '0.0000'],
      'higher: interval excludes 0',
    ])
    expect(items!.rows).toContainEqual(['a', 'adapt', '0', '1', '5', '0.219', '0.125'])
    expect(renderCsv(compared, cells)).toMatch(/^task-documents,adapt,0,a,.*,1,5,0.21\d*,0.1[12]\d*$/m)
    expect(renderMarkdown(compared)).toContain('## Benchmark tasks: document by document within a seed')
    const page = renderComparisonPage(compared)
    expect(page).toContain('<section id="tasks">')
    expect(page).not.toMatch(/NaN|undefined/)
    const without = compareCells(
      study,
      cells.map(({ arm, seed }) => cell(arm, seed)),
      ['web'],
    )
    expect(without.tasks).toEqual([])
    expect(renderComparisonPage(without)).not.toContain('Benchmark tasks')
  })
})

describe('summarizeTasks', () => {
  it('takes the last evaluation of a run and which documents were right', () => {
    const folder = mkdtempSync(join(tmpdir(), 'adapt-cell-'))
    try {
      const figure = (value: number, more: Partial<TaskFigure> = {}): TaskFigure => ({
        ...{
          task: 'a/b',
          kind: 'task',
          alias: 'The a',
          documents: 3,
          numFewShot: 0,
          metric: 'acc',
          filter: 'none',
        },
        ...{ value, error: 0.1, higherIsBetter: true, anchored: true, ...more },
      })
      const event = (step: number, figures: readonly TaskFigure[]): RunEvent => ({
        ...{ type: 'tasks', step, time: 1, seconds: 1, maxLength: 8, figures },
      })
      const sample = (id: number, acc: number) => ({
        ...{ doc_id: id, doc: {}, target: 0, arguments: [['q', ' a']], resps: [], filtered_resps: [] },
        ...{ filter: 'none', metrics: ['acc'], doc_hash: `h${id}`, acc },
      })
      const files = join(folder, 'eval/step-9.tasks')
      mkdirSync(files, { recursive: true })
      const put = (...lines: unknown[]) =>
        writeFileSync(
          join(files, 'samples_a_b.jsonl'),
          lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
        )
      put(sample(0, 1), sample(1, 0), sample(2, 1))
      const events = [event(4, [figure(0.1)]), event(9, [figure(2 / 3), figure(9, { metric: 'perplexity' })])]
      const [found, ...others] = summarizeTasks(folder, events)
      expect(others).toEqual([])
      expect(found).toMatchObject({ task: 'a/b', value: 2 / 3, anchored: true, answers: { right: '101' } })
      put(sample(0, 1), sample(3, 0), sample(2, 1))
      expect(summarizeTasks(folder, events)[0]!.answers!.documents).not.toBe(found!.answers!.documents)
      put(sample(0, 0.5))
      expect(summarizeTasks(folder, events)[0]).not.toHaveProperty('answers')
      put({ nothing: 1 })
      expect(() => summarizeTasks(folder, events)).toThrow(/samples_a_b.jsonl:1: expected a sample of a task/)
      rmSync(files, { recursive: true })
      expect(summarizeTasks(folder, events)[0]).not.toHaveProperty('answers')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
