// Tasks whose data sets lie in a hub cache, as Hugging Face's tools lay it out, read without a network.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { findTasks, prepareTasks } from './index.js'

const root = mkdtempSync(join(tmpdir(), 'adapt-hub-tasks-'))
afterAll(() => rmSync(root, { recursive: true }))
const cache = join(root, 'cache')
const env = { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '1', HF_ENDPOINT: 'http://127.0.0.1:9' }
const [OLD, NEW] = ['a', 'b'].map((letter) => letter.repeat(40)) as [string, string]

/** A snapshot as the hub's tools leave one: links to blobs. */
function putSnapshot(id: string, commit: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  const repo = join(cache, `datasets--${id.replace('/', '--')}`)
  mkdirSync(join(repo, 'blobs'), { recursive: true })
  for (const [name, content] of Object.entries(files)) {
    const blob = join(repo, 'blobs', `${commit.slice(0, 4)}-${name.replaceAll('/', '-')}`)
    const link = join(repo, 'snapshots', commit, name)
    mkdirSync(dirname(link), { recursive: true })
    writeFileSync(blob, content)
    symlinkSync(blob, link)
  }
}
function putRef(id: string, name: string, commit: string): void {
  const ref = join(cache, `datasets--${id.replace('/', '--')}`, 'refs', name)
  mkdirSync(dirname(ref), { recursive: true })
  writeFileSync(ref, commit)
}
const lines = (...questions: string[]) => questions.map((q) => `${JSON.stringify({ q, a: 'x' })}\n`).join('')
const table = (...questions: string[]) =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'q', data: questions, type: 'STRING' },
        { name: 'a', data: questions.map(() => 'x'), type: 'STRING' },
      ],
    }),
  )

beforeAll(() => {
  const named = (subset: string, ...splits: string[]) =>
    `- config_name: ${subset}\n  data_files:\n${splits.map((split) => `  - split: ${split}\n    path: ${subset}/${split}-*\n`).join('')}`
  putSnapshot('org/tables', NEW, {
    'README.md': `---\nconfigs:\n${named('easy', 'train', 'test')}${named('hard', 'test')}---\n`,
    'easy/test-00000-of-00002.parquet': table('easy 1'),
    'easy/test-00001-of-00002.parquet': table('easy 2'),
    'easy/train-00000-of-00001.parquet': table('easy shot'),
    'hard/test-00000-of-00001.parquet': table('hard 1'),
  })
  putRef('org/tables', 'main', NEW)
  putSnapshot('org/lines', OLD, { 'test.jsonl': lines('old') })
  putSnapshot('org/lines', NEW, { 'test.jsonl': lines('new 1', 'new 2'), 'dev.jsonl': lines('shot') })
  putRef('org/lines', 'main', NEW)
  putRef('org/lines', 'refs/convert/parquet', OLD)
  // Another tool fetched one of two shards.
  putSnapshot('org/half', NEW, { 'data/test-00000-of-00002.parquet': table('half') })
  putRef('org/half', 'main', NEW)
})

async function contexts(more: Readonly<Record<string, unknown>>, numFewShot = 0): Promise<string[]> {
  const file = join(root, 'asked.yaml')
  const task = { task: 'asked', test_split: 'test', output_type: 'loglikelihood', ...more }
  writeFileSync(file, JSON.stringify({ ...task, doc_to_text: 'q', doc_to_target: 'a' }))
  const [prepared] = await prepareTasks(await findTasks([file]), { env, numFewShot })
  return prepared!.items.map(({ requests: [request] }) => ('context' in request! ? request.context : ''))
}

describe('a data set by its id, in a hub cache', () => {
  it.each([
    ['tables of one subset', { dataset_path: 'org/tables', dataset_name: 'easy' }, ['easy 1', 'easy 2']],
    ['tables of another subset', { dataset_path: 'org/tables', dataset_name: 'hard' }, ['hard 1']],
    ['lines of the newest commit', { dataset_path: 'org/lines' }, ['new 1', 'new 2']],
    ['a commit by its hash', { dataset_path: `org/lines@${OLD}` }, ['old']],
    ['a revision by its name', { dataset_path: 'org/lines', dataset_kwargs: { revision: OLD } }, ['old']],
    ['a branch with slashes', { dataset_path: 'org/lines@refs/convert/parquet' }, ['old']],
  ])('%s', async (_, more, expected) => {
    expect(await contexts(more)).toEqual(expected)
  })

  it('gives examples from another split', async () => {
    const tables = { dataset_path: 'org/tables', dataset_name: 'easy', training_split: 'train' }
    expect(await contexts(tables, 1)).toEqual(['easy shot x\n\neasy 1', 'easy shot x\n\neasy 2'])
    const rows = { dataset_path: 'org/lines', fewshot_split: 'validation' }
    expect((await contexts(rows, 1))[0]).toBe('shot x\n\nnew 1')
  })

  it.each([
    ['nothing of it is there', { dataset_path: 'org/none' }, /: dataset_path: org\/none: .*HF_HUB_OFFLINE/],
    ['a shard is missing', { dataset_path: 'org/half' }, /: org\/half: .*is not in/],
    [
      'a subset is missing',
      { dataset_path: 'org/tables', dataset_name: 'esy' },
      /is not in .*expected subset: one of "easy", "hard"/,
    ],
    [
      'a split is missing',
      { dataset_path: 'org/lines', test_split: 'exam' },
      /is not in .*expected split: one of "validation", "test"/,
    ],
    ['a revision is missing', { dataset_path: 'org/lines@v2' }, /: org\/lines@v2: .*is not in/],
  ])('is one line where %s', async (_, more, message) => {
    const error = await contexts(more).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AdaptError)
    expect(error).toMatchObject({ code: 'HUB_OFFLINE', exitCode: 2 })
    expect((error as AdaptError).message).toMatch(message)
    expect((error as AdaptError).message).toMatch(/^\S*asked\.yaml:1:\d+: /)
    expect((error as AdaptError).message).not.toContain('\n')
  })
})
