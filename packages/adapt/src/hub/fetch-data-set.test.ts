import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type DataSource, readDocuments } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { fetchDataSets, resolveDataFiles } from './fetch-data-set.js'
import { LocalHub } from './local-hub.test.fixture.js'

const COMMIT = 'c0ffee'.padEnd(40, '0')
const line = (text: string) => `${JSON.stringify({ text })}\n`
const files = {
  'README.md': '---\nlicense: mit\n---\n# A set\n',
  'data/train-00000-of-00002.jsonl': line('a'),
  'data/train-00001-of-00002.jsonl': line('b'),
  'data/test-00000-of-00001.jsonl': line('t'),
  'set.py': 'never run',
}
const hub = new LocalHub({
  'datasets/org/set': { files },
  'datasets/org/gated': { files, access: 'gated' },
})

let root = ''
let home = ''
let lines: string[] = []
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'adapt-data-hub-'))
  await hub.start()
})
afterAll(async () => {
  await hub.stop()
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  home = mkdtempSync(path.join(root, 'home-'))
  lines = []
  hub.requests.length = 0
})

const environment = (more: Record<string, string> = {}) => ({
  HF_ENDPOINT: hub.endpoint,
  HF_HOME: home,
  ...more,
})
async function read(source: DataSource, more: Record<string, string> = {}) {
  const env = environment(more)
  await fetchDataSets([source], root, { onLine: (text) => lines.push(text), env })
  const texts: string[] = []
  for await (const { id, content } of readDocuments(await resolveDataFiles([source], root, env))) {
    texts.push(`${id} ${content.kind === 'text' ? content.text : ''}`)
  }
  return texts
}
async function failure(source: DataSource, more: Record<string, string> = {}): Promise<string> {
  const error = await read(source, more).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AdaptError)
  return `${(error as AdaptError).exitCode} ${(error as AdaptError).code} ${(error as AdaptError).message}`
}

describe('a data set on a hub', () => {
  it('is fetched into the usual cache: the files of the split and no others', async () => {
    expect(await read({ path: 'org/set' })).toEqual([
      'org/set/data/train-00000-of-00002.jsonl:1 a',
      'org/set/data/train-00001-of-00002.jsonl:1 b',
    ])
    expect(hub.fetched).toEqual([
      'README.md',
      'data/train-00000-of-00002.jsonl',
      'data/train-00001-of-00002.jsonl',
    ])
    const folder = path.join(home, 'hub', 'datasets--org--set')
    expect(readFileSync(path.join(folder, 'refs', 'main'), 'utf8')).toBe(COMMIT)
    const file = path.join(folder, 'snapshots', COMMIT, 'data', 'train-00000-of-00002.jsonl')
    expect(readFileSync(file, 'utf8')).toBe(line('a'))
    expect(lines).toEqual([`fetching org/set (c0ffee00) from ${hub.endpoint}`])
  })

  it('is read from the cache without network, and another split of it is known to be missing', async () => {
    await read({ path: 'org/set' })
    hub.requests.length = 0
    const offline = { HF_HUB_OFFLINE: '1' }
    expect(await read({ path: 'org/set' }, offline)).toHaveLength(2)
    expect(await failure({ path: 'org/set', split: 'test' }, offline)).toMatch(
      /^2 HUB_OFFLINE org\/set: no file or folder/,
    )
    expect(await failure({ path: 'org/set', defaultsToTrain: false }, offline)).toContain('HUB_OFFLINE')
    expect(hub.requests).toEqual([])
    expect(await read({ path: 'org/set', split: 'test' })).toEqual([
      'org/set/data/test-00000-of-00001.jsonl:1 t',
    ])
  })

  it('is one source, however many files it has', async () => {
    const env = environment()
    await fetchDataSets([{ path: 'org/set' }], root, { onLine: () => {}, env })
    for (const sourceField of [undefined, null]) {
      const entry = { path: 'org/set', ...(sourceField === null ? { sourceField } : {}) }
      for await (const { source } of readDocuments(await resolveDataFiles([entry], root, env))) {
        expect(source).toBe('org/set')
      }
    }
  })

  it('that cannot be had is one line with the reason', async () => {
    expect(await failure({ path: 'org/gated' })).toMatch(
      new RegExp(`^2 HUB_GATED .*accept its terms at ${hub.endpoint}/datasets/org/gated and set HF_TOKEN$`),
    )
    expect(await read({ path: 'org/gated' }, { HF_TOKEN: hub.token })).toHaveLength(2)
    expect(await failure({ path: 'org/none' })).toMatch(
      /^2 HUB_NOT_FOUND org\/none: no folder .*, and no such data set at/,
    )
    expect(await failure({ path: 'org/set@v9' })).toContain('has no revision "v9"')
    expect(await failure({ path: 'org/set', split: 'dev' })).toContain(
      'expected split: one of "test", "train"',
    )
  })

  it('is never looked for where a path is meant', async () => {
    mkdirSync(path.join(root, 'mine'), { recursive: true })
    for (const name of [
      'corpus/train.jsonl',
      'data/none',
      'mine/none',
      './org/set',
      'org/*',
      'org/set/more',
      'org/set.zip',
    ]) {
      expect(await failure({ path: name })).toMatch(/^2 FILE_NOT_FOUND/)
    }
    expect(hub.requests).toEqual([])
  })
})
