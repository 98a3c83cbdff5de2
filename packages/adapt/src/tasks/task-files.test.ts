import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findTasks, prepareTasks } from './index.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adapt-task-files-'))
  write('data.jsonl', '{"q": "x", "c": ["a", "b"], "a": 0}\n{"q": "y", "c": ["a", "b"], "a": 1}\n')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const CHOICES = `task: one
dataset_path: data.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: q
doc_to_choice: c
doc_to_target: a
`
const WRITTEN = `task: one
dataset_path: data.jsonl
test_split: test
output_type: generate_until
doc_to_text: q
doc_to_target: a
`

const prepare = async (path: string, options = {}) => await prepareTasks(await findTasks([path]), options)

describe('a task file is refused before a model is asked', () => {
  test.each([
    ['metric_list: [{ metric: acc, agregation: mean }]', /agregation.*did you mean "aggregation"/],
    ['metric_list: [{ metric: acc, aggregation: meen }]', /aggregation: expected one of mean, .*"meen"/],
    ['metric_list: [{ metric: f1, aggregation: mean }]', /f1: .*aggregation: expected one of f1, .*"mean"/],
    [
      'filter_list: [{ name: f, filter: [{ function: lowercase }] }]',
      /expected take_first alone.*"lowercase"/,
    ],
    ['dataset_kwargs: { data_fils: x }', /dataset_kwargs.data_fils: .*did you mean "data_files"/],
    ['dataset_kwargs: { data_dir: x }', /dataset_kwargs.data_dir: expected it with data_files/],
    [
      'fewshot_config: { fewshot_indices: [7] }\nnum_fewshot: 1',
      /fewshot_indices: expected places of 2 records.*7/,
    ],
  ])('%s', async (line, message) => {
    await expect(prepare(write('bad.yaml', `${CHOICES}${line}\n`))).rejects.toThrow(message)
  })

  test.each([
    [
      'filter_list: [{ name: f, filter: [{ function: regex, regex_patern: a }] }]',
      /did you mean "regex_pattern"/,
    ],
    [
      'filter_list: [{ name: f, filter: [{ function: regex, regex_pattern: "(a" }] }]',
      /filter_list: cannot read.*\(a/,
    ],
    [
      'filter_list: [{ name: f, filter: [{ function: lowercase, k: 1 }] }]',
      /expected no other key, received "k"/,
    ],
    [
      'filter_list: [{ name: f, filter: [{ function: custom, filter_fn: f }] }]',
      /expected one of take_first, .*received "custom": it is Python/,
    ],
    [
      'filter_list: [{ name: f, filter: [{ function: lowercas }] }]',
      /received "lowercas" \(did you mean "lowercase"\?\)/,
    ],
    [
      'metric_list: [{ metric: exact_match, regexes_to_ignore: ["(a"] }]',
      /regexes_to_ignore: cannot read.*\(a/,
    ],
  ])('%s', async (line, message) => {
    await expect(prepare(write('bad.yaml', `${WRITTEN}${line}\n`))).rejects.toThrow(message)
  })
})

test('f1 of more than two choices, and options of writing where nothing is written', async () => {
  write('data.jsonl', '{"q": "x", "c": ["a", "b", "c"], "a": 0}\n')
  const many = write('many.yaml', `${CHOICES}metric_list: [{ metric: f1 }]\n`)
  await expect(prepare(many)).rejects.toThrow(/f1: expected two choices, .* received 3$/)
  const lines: string[] = []
  const idle = write('idle.yaml', `${CHOICES}generation_kwargs: { until: [x] }\n`)
  await prepare(idle, { onLine: (line: string) => lines.push(line) })
  expect(lines).toEqual([
    expect.stringMatching(
      /^warning: .*idle\.yaml:8:\d+: generation_kwargs: no effect with output_type multiple/,
    ),
  ])
})

test('an average of a group over a metric that none of its tasks has is refused', async () => {
  write('one.yaml', CHOICES)
  const group = (aggregate: string) =>
    write('group.yaml', `group: all\ntask: [one.yaml]\naggregate_metric_list: { ${aggregate} }\n`)
  await expect(prepare(group('metric: accc'))).rejects.toThrow(/expected a metric .*acc,none.*"accc,none"/)
  await expect(prepare(group('metric: acc, filter_list: strip'))).rejects.toThrow(/"acc,strip"/)
  expect(await prepare(group('metric: acc'))).toHaveLength(1)
})

describe('names of tasks', () => {
  test('a group finds the files it names beside itself, and lists them by the names of their tasks', async () => {
    mkdirSync(join(folder, 'below'))
    write('below/part.yaml', CHOICES)
    const path = write(
      'below/group.yaml',
      'group: all\ntask: [part.yaml]\naggregate_metric_list: { metric: acc }\n',
    )
    const { tasks, groups } = await findTasks([path])
    expect(tasks.map(({ name }) => name)).toEqual(['one'])
    expect(groups.map(({ members }) => members)).toEqual([['one']])
  })

  test('two tasks of one name are refused, the same file twice is one', async () => {
    const [first, second] = [write('a.yaml', CHOICES), write('b.yaml', `${CHOICES}num_fewshot: 1\n`)]
    expect((await findTasks([first, first])).tasks).toHaveLength(1)
    await expect(findTasks([first, second])).rejects.toThrow(
      /expected tasks of different names, received one/,
    )
    await expect(findTasks(['one'], { includePaths: [folder] })).rejects.toThrow(
      /expected one task.*a\.yaml and .*b\.yaml/,
    )
  })
})
