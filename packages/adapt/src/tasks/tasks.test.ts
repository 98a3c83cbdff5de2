import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CausalLM, loadModelFolder } from '../model/index.js'
import { loadTokenizer } from '../tokenize/index.js'
import { evaluateTasks, prepareTasks } from './evaluate-tasks.js'
import { findTasks } from './find-tasks.js'
import { ResponseStore } from './response-store.js'
import { resultsJson } from './results-json.js'

const project = fileURLToPath(new URL('../../../..', import.meta.url))
const tokenizer = loadTokenizer(join(project, 'examples/tokenizer'))
let model: CausalLM
const scratch = mkdtempSync(join(tmpdir(), 'adapt-tasks-'))
beforeAll(() => {
  model = loadModelFolder(join(project, 'examples/base/model'), { device: 'cpu' })
})
afterAll(() => {
  model.dispose()
  rmSync(scratch, { recursive: true })
})

let numFolders = 0
/** A folder with these files; values other than text become JSON lines or YAML. */
function folderWith(files: Readonly<Record<string, unknown>>): string {
  const folder = join(scratch, `tasks-${numFolders++}`)
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    const text = Array.isArray(content)
      ? content.map((record) => JSON.stringify(record)).join('\n')
      : typeof content === 'string'
        ? content
        : JSON.stringify(content, null, 1)
    writeFileSync(path, text)
  }
  return folder
}

const DOCUMENTS = [
  { q: 'one', options: ['two', 'three'], answer: 0 },
  { q: 'two', options: ['three', 'four'], answer: 1 },
  { q: 'three', options: ['four', 'a longer answer'], answer: 1 },
]
const task = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  task: name,
  dataset_path: 'json',
  dataset_kwargs: { data_files: { test: 'test.jsonl' } },
  test_split: 'test',
  output_type: 'multiple_choice',
  doc_to_text: '{{q}}:',
  doc_to_choice: 'options',
  doc_to_target: 'answer',
  ...more,
})
const SETTINGS = { maxLength: 64, maxPositions: 256, bootstrapIterations: 0 }

async function evaluate(
  names: readonly string[],
  folder: string,
  { prepare = {}, ...options }: Record<string, object | number> & { prepare?: object } = {},
) {
  const selection = await findTasks(names, { includePaths: [folder] })
  const prepared = await prepareTasks(selection, prepare)
  return await evaluateTasks(model, tokenizer, { selection, prepared }, { ...SETTINGS, ...options })
}

describe('names of tasks', () => {
  const files = {
    'test.jsonl': DOCUMENTS,
    '_common.yaml': task('common', { tag: 'numbers', num_fewshot: 1 }),
    'first.yaml': 'include: _common.yaml\ntask: first\ntask_alias: The first\n',
    'second.yaml': 'include: _common.yaml\ntask: second\nnum_fewshot: 0\n',
    'both.yaml': {
      group: 'both',
      task: ['first', 'second', { task: 'first', task_alias: 'again', num_fewshot: 2 }],
      aggregate_metric_list: [{ metric: 'acc', weight_by_size: true }],
    },
  }

  it('finds tasks, tags, groups, patterns and files, each task once', async () => {
    const folder = folderWith(files)
    const namesOf = async (names: readonly string[]) =>
      (await findTasks(names, { includePaths: [folder] })).tasks.map(({ name }) => name)
    expect(await namesOf(['first', 'second', 'first'])).toEqual(['first', 'second'])
    expect(await namesOf(['numbers'])).toEqual(['first', 'second'])
    expect(await namesOf(['*irst'])).toEqual(['first'])
    expect(await namesOf([join(folder, 'second.yaml')])).toEqual(['second'])
    const { tasks, groups } = await findTasks(['both'], { includePaths: [folder] })
    expect(tasks.map(({ config }) => config.num_fewshot)).toEqual([1, 0])
    expect(groups).toMatchObject([
      { name: 'both', members: ['first', 'second', 'first'], tasks: ['first', 'second'] },
    ])
  })

  it('names the nearest where nothing has a name', async () => {
    const folder = folderWith(files)
    await expect(findTasks(['secnd'], { includePaths: [folder] })).rejects.toThrow(
      /^--tasks: expected a task, group, tag or file of tasks, received secnd \(did you mean "second"\?\)$/,
    )
  })

  it('means tasks of a group by their documents, or each alike', async () => {
    const folder = folderWith({
      ...files,
      'other.jsonl': DOCUMENTS.slice(0, 1),
      'small.yaml': task('small', { dataset_kwargs: { data_files: { test: 'other.jsonl' } } }),
      'alike.yaml': {
        group: 'alike',
        task: ['second', 'small'],
        aggregate_metric_list: { metric: 'acc', weight_by_size: false },
      },
      'sized.yaml': { group: 'sized', task: ['second', 'small'], aggregate_metric_list: { metric: 'acc' } },
    })
    const { tasks, groups } = await evaluate(['alike', 'sized'], folder)
    const [second, small] = tasks.map(({ metrics }) => metrics.find(({ metric }) => metric === 'acc')!.value)
    expect(groups.map(({ metrics }) => metrics[0]!.value)).toEqual([
      (second! + small!) / 2,
      (3 * second! + small!) / 4,
    ])
    // One document has no standard error, so the mean has none.
    expect(groups.map(({ metrics }) => metrics[0]!.error)).toEqual([undefined, undefined])
    const json = resultsJson({ tasks, groups }, {} as never) as Record<string, Record<string, unknown>>
    expect(json.group_subtasks).toMatchObject({ alike: ['second', 'small'] })
    expect(json['n-samples']).toMatchObject({ small: { original: 1, effective: 1 } })
  })
})

describe('what a task file is refused for', () => {
  it.each([
    [
      'an unknown key',
      { doc_to_txt: 'q' },
      /: doc_to_txt: expected a known key, received "doc_to_txt" \(did you mean "doc_to_text"\?\)$/,
    ],
    [
      'Python',
      { process_docs: 'utils.f' },
      /: process_docs: expected a task without process_docs: it is Python/,
    ],
    ['an unknown kind', { output_type: 'multiple' }, /: output_type: expected one of "multiple_choice", /],
    [
      'several draws',
      { repeats: 3 },
      /: repeats: expected 1: answers are not drawn several times, received 3$/,
    ],
  ])('%s', async (_, more, message) => {
    const folder = folderWith({ 'test.jsonl': DOCUMENTS, 'bad.yaml': task('bad', more) })
    await expect(findTasks([join(folder, 'bad.yaml')])).rejects.toThrow(message)
    // In a folder it stands in nobody's way until it is asked for.
    await expect(findTasks(['bad'], { includePaths: [folder] })).rejects.toThrow(message)
  })

  it('a Python function, by its place', async () => {
    const folder = folderWith({
      'bad.yaml': 'task: bad\ndataset_path: json\ndoc_to_text: !function utils.text\n',
    })
    await expect(findTasks([join(folder, 'bad.yaml')])).rejects.toThrow(
      /bad\.yaml:3:\d+: doc_to_text: expected a template or a field, received a Python function \(!function\)/,
    )
  })

  it('files that include each other', async () => {
    const folder = folderWith({ 'a.yaml': 'include: b.yaml\ntask: a\n', 'b.yaml': 'include: a.yaml\n' })
    await expect(findTasks([join(folder, 'a.yaml')])).rejects.toThrow(/expected files that include others/)
  })

  it.each([
    [
      'a field that is not there',
      { doc_to_text: '{{question}}' },
      /test\.jsonl:1: .*doc_to_text: "question" is not defined$/,
    ],
    [
      'an answer that is no choice',
      { doc_to_target: 'q' },
      /test\.jsonl:1: task bad: expected an answer that is one of 2 choices/,
    ],
    [
      'a field by a misspelt name',
      { doc_to_target: 'anwser' },
      /bad\.yaml:\d+:\d+: doc_to_target: expected a field or a template, received "anwser" \(did you mean "answer"\?\)/,
    ],
    [
      'a field by a misspelt name in examples',
      { fewshot_config: { doc_to_choice: 'option' } },
      /bad\.yaml:\d+:\d+: fewshot_config\.doc_to_choice: expected a field .*did you mean "options"/,
    ],
    [
      'choices that are none',
      { doc_to_choice: '{{q}}' },
      /test\.jsonl:1: doc_to_choice of task bad: expected a list of texts/,
    ],
    [
      'a metric of another kind',
      { metric_list: [{ metric: 'bleu' }] },
      /metric_list: expected metrics of multiple_choice \(acc, .*received "bleu"$/,
    ],
    [
      'a split without files',
      { test_split: 'dev' },
      /data_files: expected files of split "dev", received those of test$/,
    ],
    [
      'a template that does not end',
      { doc_to_text: '{{q' },
      /doc_to_text: not a Jinja template that can be read/,
    ],
    [
      'too few examples',
      { num_fewshot: 9 },
      /expected at least 9 few-shot examples, received 3; lower num_fewshot$/,
    ],
  ])('%s', async (_, more, message) => {
    const folder = folderWith({ 'test.jsonl': DOCUMENTS, 'bad.yaml': task('bad', more) })
    await expect(evaluate(['bad'], folder)).rejects.toThrow(message)
  })

  it('a choice that is no token', async () => {
    const documents = [{ q: 'one', options: ['', 'b'], answer: 1 }]
    const folder = folderWith({ 'test.jsonl': documents, 'bad.yaml': task('bad', { target_delimiter: '' }) })
    await expect(evaluate(['bad'], folder)).rejects.toThrow(
      expect.objectContaining({
        code: 'EMPTY_CONTINUATION',
        exitCode: 3,
        message: expect.stringMatching(
          /test\.jsonl:1: task bad: expected a continuation of at least one token/,
        ),
      }),
    )
  })
})

it('a word that is like no field is the same text for all documents, with a warning', async () => {
  const late = [...DOCUMENTS, { ...DOCUMENTS[0]!, hint: 'x' }]
  const folder = folderWith({
    'test.jsonl': late,
    'word.yaml': task('word', {
      doc_to_text: 'Choose',
      doc_to_target: '{{ "two" }}',
      doc_to_choice: ['two'],
    }),
    'late.yaml': task('late', { doc_to_text: 'hint' }),
  })
  const lines: string[] = []
  const prepare = { onLine: (line: string) => lines.push(line) }
  const { tasks } = await evaluate(['word'], folder, { prepare })
  expect(tasks[0]!.samples[0]!.item.requests[0]).toMatchObject({ context: 'Choose', continuation: ' two' })
  expect(lines).toEqual([
    expect.stringMatching(/^warning: \S*word\.yaml:\d+:\d+: doc_to_text: no field is called "Choose"/),
  ])
  // A field of a later record is a field: the first record lacks it.
  await expect(evaluate(['late'], folder)).rejects.toThrow(/test\.jsonl:1: expected the field "hint"/)
})

describe('a context that is longer than the window', () => {
  it('loses its beginning, and is counted', async () => {
    const long = [{ q: 'word '.repeat(200), options: [' a', ' b'], answer: 0 }, DOCUMENTS[0]!]
    const folder = folderWith({ 'test.jsonl': long, 'long.yaml': task('long') })
    const { tasks } = await evaluate(['long'], folder)
    expect(tasks[0]!.numTruncated).toBe(2)
    const short = [{ ...long[0]!, q: `${'word '.repeat(300)}` }, DOCUMENTS[0]!]
    const other = folderWith({ 'test.jsonl': short, 'long.yaml': task('long') })
    const again = await evaluate(['long'], other)
    expect(again.tasks[0]!.samples[0]!.responses).toEqual(tasks[0]!.samples[0]!.responses)
  })
})

describe('an evaluation that was stopped', () => {
  it('asks only what is missing, also behind a line that was cut off', async () => {
    const folder = folderWith({ 'test.jsonl': DOCUMENTS, 'one.yaml': task('one') })
    const path = join(folder, 'responses.jsonl')
    const run = async (isCancelled: () => boolean) => {
      let asked = 0
      const store = new ResponseStore(path)
      const add = store.add.bind(store)
      store.add = (entries) => {
        const list = [...entries]
        asked += list.length
        add(list)
      }
      const result = await evaluate(['one'], folder, { store, isCancelled, maxPositions: 8 }).catch(
        (error) => error,
      )
      return { asked, result }
    }
    let looks = 0
    const stopped = await run(() => ++looks > 2)
    expect(stopped.result).toMatchObject({ code: 'EVALUATION_CANCELLED', exitCode: 75 })
    expect(stopped.asked).toBeGreaterThan(0)
    const lines = readFileSync(path, 'utf8')
    writeFileSync(path, lines.slice(0, -5))
    const resumed = await run(() => false)
    expect(resumed.asked).toBe(6 - stopped.asked + 1)
    appendFileSync(path, 'no line')
    const whole = await run(() => false)
    expect(whole.asked).toBe(0)
    const { tasks } = await evaluate(['one'], folder)
    const values = (result: typeof tasks) => result[0]!.samples.map(({ values }) => values)
    expect(values(whole.result.tasks)).toEqual(values(tasks))
  })
})

describe('limits and shots of the command line', () => {
  it('take a number or a share of the documents, and examples unless the task says 0', async () => {
    const folder = folderWith({
      'test.jsonl': DOCUMENTS,
      'open.yaml': task('open', { fewshot_split: 'test' }),
      'zero.yaml': task('zero', { num_fewshot: 0 }),
    })
    const { tasks } = await evaluate(['open', 'zero'], folder, { prepare: { limit: 0.5, numFewShot: 1 } })
    expect(tasks.map(({ numEvaluated, numDocuments }) => [numEvaluated, numDocuments])).toEqual([
      [2, 3],
      [2, 3],
    ])
    expect(tasks.map(({ numFewShot }) => numFewShot)).toEqual([1, 0])
  })
})
