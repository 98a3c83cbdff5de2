import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type DataSource, type Document, readDocuments, resolveSources } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { openCacheFiles } from './cache-files.js'
import { noteLines } from './data-notes.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { openTokenCache, type TokenCacheOptions } from './token-cache.js'
import type { TokenDataset, TokenizedSample } from './token-dataset.js'
import { tokenizeDocuments } from './tokenize-documents.js'
import { loadTokenizer, type Tokenizer } from './tokenizer.js'

let root = ''
let folder = ''
let tokenizer: Tokenizer
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-cache-'))
  tokenizer = loadTokenizer(writeTinyTokenizer(path.join(root, 'tokenizer')))
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  folder = mkdtempSync(path.join(root, 'case-'))
})

function putLines(name: string, records: readonly unknown[]): void {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  writeFileSync(path.join(folder, name), records.map((r) => `${JSON.stringify(r)}\n`).join(''))
}

const cacheDir = (): string => path.join(folder, 'cache')

async function open(
  options: Partial<TokenCacheOptions> & { readonly source?: DataSource } = {},
): Promise<TokenDataset> {
  const { source = { path: 'data/*.jsonl' }, ...rest } = options
  const files = await resolveSources([source], folder)
  return await openTokenCache({
    files,
    tokenizer,
    maxLength: 32,
    cacheDir: cacheDir(),
    numWorkers: 0,
    ...rest,
  })
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => new Error('expected an error'),
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(AdaptError)
  return (error as AdaptError).code
}

const allOf = (dataset: TokenDataset): TokenizedSample[] =>
  Array.from({ length: dataset.numSamples }, (_, i) => dataset.sample(i))

function putCorpus(numDocuments = 40): void {
  const words = 'the model reads data shapes trainer weighs each sample 😀 é'.split(' ')
  const records = Array.from({ length: numDocuments }, (_, i) => {
    const text = Array.from({ length: 1 + ((i * 7) % 90) }, (_, k) => words[(i + k * k) % words.length]).join(
      ' ',
    )
    const shared = {
      source: `s${i % 3}`,
      weight: i % 4 === 0 ? 0.1 : 1,
      id: i % 5 === 0 ? undefined : `doc-é-${i}`,
    }
    return i % 6 === 0
      ? { prompt: text.slice(0, 20), completion: text.slice(20), ...shared }
      : { text, ...shared }
  })
  putLines('data/a.jsonl', records.slice(0, numDocuments / 2))
  putLines('data/b.jsonl', records.slice(numDocuments / 2))
}

describe('openTokenCache', () => {
  it('holds the samples that tokenising in memory gives', async () => {
    putCorpus()
    const dataset = await open()
    const documents: Document[] = []
    for await (const document of readDocuments(await resolveSources([{ path: 'data/*.jsonl' }], folder))) {
      documents.push(document)
    }
    const inMemory = await tokenizeDocuments(documents, tokenizer, 32)
    expect(allOf(dataset)).toEqual(allOf(inMemory))
    expect(dataset.sources).toEqual(['s0', 's1', 's2'])
    expect(dataset.numDocuments).toBe(40)
    const samples = allOf(dataset)
    expect(samples.map((s) => s.index)).toEqual(samples.map((_, i) => i))
    expect(new Set(samples.map((s) => s.id)).size).toBe(samples.length)
    expect(samples.some((s) => s.weight === 0.1)).toBe(true)
    expect(dataset.numTokens).toBe(samples.reduce((n, s) => n + s.tokens.length, 0))
    expect(dataset.numLabels).toBe(samples.reduce((n, s) => n + s.labelMask.filter((m) => m === 1).length, 0))
    for (const [i, s] of samples.entries()) {
      expect(dataset.length(i)).toBe(s.tokens.length)
      expect(dataset.sources[dataset.sourceIndex(i)]).toBe(s.source)
      expect(dataset.labelCount(i)).toBe(s.labelMask.filter((m) => m === 1).length)
    }
    dataset.close()
  })

  it('writes the same bytes with any number of worker threads', async () => {
    putCorpus(1200)
    const contents = []
    for (const numWorkers of [0, 1, 3]) {
      const dir = path.join(folder, `cache-${numWorkers}`)
      const dataset = await open({ numWorkers, cacheDir: dir })
      dataset.close()
      const cache = path.join(dir, dataset.fingerprint)
      contents.push(readdirSync(cache).map((name) => [name, readFileSync(path.join(cache, name), 'base64')]))
    }
    expect(contents[0]).toHaveLength(4)
    expect(contents[1]).toEqual(contents[0])
    expect(contents[2]).toEqual(contents[0])
  })

  it('reuses a cache, and makes another when data, options or tokenizer change', async () => {
    putCorpus()
    const first = await open()
    const stampOf = (): bigint =>
      statSync(path.join(cacheDir(), first.fingerprint, 'meta.json'), { bigint: true }).mtimeNs
    const stamp = stampOf()
    expect((await open()).fingerprint).toBe(first.fingerprint)
    expect(stampOf()).toBe(stamp)
    const other = loadTokenizer(writeTinyTokenizer(path.join(folder, 'other'), { numMerges: 8 }))
    const fingerprints = [
      first.fingerprint,
      (await open({ maxLength: 33 })).fingerprint,
      (await open({ tokenizer: other })).fingerprint,
      (await open({ source: { path: 'data/*.jsonl', limit: 9 } })).fingerprint,
      (await open({ source: { path: 'data/*.jsonl', limit: 10 } })).fingerprint,
      (await open({ source: { path: 'data/*.jsonl', source: 'x' } })).fingerprint,
      (await open({ maxBadRecords: 1 })).fingerprint,
    ]
    const file = path.join(folder, 'data/a.jsonl')
    writeFileSync(file, readFileSync(file, 'utf8').replace('model', 'modem'))
    fingerprints.push((await open()).fingerprint)
    expect(new Set(fingerprints).size).toBe(fingerprints.length)
    expect(readdirSync(cacheDir()).sort()).toEqual([...fingerprints].sort())
  })

  it('gives the same cache to two callers at once', async () => {
    putCorpus()
    const [a, b] = await Promise.all([open(), open()])
    expect(allOf(a)).toEqual(allOf(b))
    expect(readdirSync(cacheDir())).toEqual([a.fingerprint])
  })

  it('builds a damaged or incomplete cache again', async () => {
    putCorpus()
    const good = await open()
    const samples = allOf(good)
    const inCache = (name: string): string => path.join(cacheDir(), good.fingerprint, name)
    const damages = [
      () => truncateSync(inCache('tokens.bin'), 40),
      () => appendFileSync(inCache('ids.bin'), 'x'),
      () => rmSync(inCache('meta.json')),
      () => writeFileSync(inCache('meta.json'), '{"key":'),
      () => writeFileSync(inCache('meta.json'), '{}'),
      () => rmSync(inCache('tokens.bin')),
      () => {
        const meta = readFileSync(inCache('meta.json'), 'utf8')
        writeFileSync(inCache('meta.json'), meta.replace(/"numDocuments": (\d+)/, '"numDocuments": 1$1'))
        expect(readFileSync(inCache('meta.json'), 'utf8')).not.toBe(meta)
      },
      () => {
        const bytes = readFileSync(inCache('records.bin'))
        bytes[30]! ^= 1
        writeFileSync(inCache('records.bin'), bytes)
      },
    ]
    for (const damage of damages) {
      damage()
      expect(openCacheFiles(path.dirname(inCache('')), good.fingerprint)).toBeUndefined()
      expect(allOf(await open())).toEqual(samples)
    }
  })

  it.each([
    'tokens.bin',
    'ids.bin',
  ])('never hands out what was changed in %s after it was written', async (name) => {
    putCorpus()
    const good = await open()
    const samples = allOf(good)
    const file = path.join(cacheDir(), good.fingerprint, name)
    const bytes = readFileSync(file)
    // One bit of the first sample; for a token another id of the vocabulary.
    bytes[0]! ^= 1
    writeFileSync(file, bytes)
    const dataset = await open()
    let message = ''
    try {
      dataset.sample(0)
    } catch (error) {
      message = (error as Error).message
      expect(error).toMatchObject({ code: 'CACHE_DAMAGED', exitCode: 3 })
    }
    expect(message).toContain(file)
    expect(message).toContain('sample 0')
    expect(dataset.sample(dataset.numSamples - 1)).toEqual(samples.at(-1))
    rmSync(path.dirname(file), { recursive: true })
    expect(allOf(await open())).toEqual(samples)
  })

  it('reads samples by position, and says so when a file becomes shorter', async () => {
    putCorpus()
    const dataset = await open()
    const cache = path.join(cacheDir(), dataset.fingerprint)
    const byPosition = openCacheFiles(cache, dataset.fingerprint)!
    expect(allOf(byPosition)).toEqual(allOf(dataset))
    truncateSync(path.join(cache, 'tokens.bin'), 40)
    expect(() => byPosition.sample(byPosition.numSamples - 1)).toThrow(/became shorter/)
    byPosition.close()
    byPosition.close()
    expect(() => byPosition.sample(0)).toThrow()
  })

  it('leaves nothing behind when it fails, and removes what a dead process left', async () => {
    putCorpus()
    const leftover = path.join(cacheDir(), `${'0'.repeat(64)}.tmp-${os.hostname()}-4194999-00000000`)
    const foreign = path.join(cacheDir(), `${'0'.repeat(64)}.tmp-elsewhere-4194999-00000000`)
    mkdirSync(leftover, { recursive: true })
    mkdirSync(foreign)
    putLines('data/c.jsonl', [{ text: 'fine' }, { wrong: 1 }])
    for (const numWorkers of [0, 2]) {
      expect(await codeOf(open({ numWorkers }))).toBe('UNKNOWN_RECORD')
      expect(readdirSync(cacheDir())).toEqual([path.basename(foreign)])
    }
  })

  it('notices a file that changes while it is read', async () => {
    putCorpus(600)
    const grow = (): void => appendFileSync(path.join(folder, 'data/a.jsonl'), '{"text":"late"}\n')
    expect(await codeOf(open({ onProgress: grow }))).toBe('FILE_CHANGED')
    expect(readdirSync(cacheDir())).toEqual([])
  })

  it('skips bad records within a budget, the same way each time, and keeps what it skipped with the cache', async () => {
    putCorpus()
    const file = path.join(folder, 'data/b.jsonl')
    writeFileSync(file, `bad\n${readFileSync(file, 'utf8')}{"text":5}\n`)
    expect(await codeOf(open())).toBe('BAD_JSON')
    expect(await codeOf(open({ maxBadRecords: 1 }))).toBe('BAD_FIELD')
    const [first, again] = [await open({ maxBadRecords: 2 }), await open({ maxBadRecords: 2 })]
    const elsewhere = await open({ maxBadRecords: 2, cacheDir: path.join(folder, 'other'), numWorkers: 2 })
    for (const dataset of [first, again, elsewhere]) {
      expect(dataset.numDocuments).toBe(40)
      expect(dataset.fingerprint).toBe(first.fingerprint)
      expect(allOf(dataset)).toEqual(allOf(first))
      expect(dataset.notes.badRecords).toEqual([
        { file: 'data/b.jsonl', count: 2, first: expect.stringContaining('data/b.jsonl:1 (byte 0): ') },
      ])
      expect(noteLines(dataset.notes)).toHaveLength(1)
    }
  })

  it('notes a gzip file of several members with the cache', async () => {
    mkdirSync(path.join(folder, 'data'))
    const member = gzipSync('{"text":"the data"}\n')
    writeFileSync(path.join(folder, 'data/a.jsonl.gz'), Buffer.concat([member, member]))
    for (let n = 0; n < 2; n++) {
      const { notes } = await open({ source: { path: 'data/*.gz' } })
      expect(notes).toMatchObject({ badRecords: [], unverifiedFiles: ['data/a.jsonl.gz'] })
      expect(noteLines(notes)[0]).toContain('completeness unverified')
    }
  })

  it('multiplies weights by that of the data entry without another cache', async () => {
    putCorpus()
    const plain = await open()
    const half = await open({ source: { path: 'data/*.jsonl', weight: 0.5 } })
    expect(half.fingerprint).toBe(plain.fingerprint)
    expect(readdirSync(cacheDir())).toHaveLength(1)
    expect(allOf(half).map((s) => s.weight)).toEqual(allOf(plain).map((s) => s.weight * 0.5))
    const entries = [{ path: 'data/a.jsonl' }, { path: 'data/b.jsonl', weight: 0 }]
    const files = await resolveSources(entries, folder)
    const mixed = await open({ files })
    for (const { path: name, weight } of allOf(mixed)) expect(weight > 0).toBe(name === 'data/a.jsonl')
    const twice = await resolveSources([...entries, { path: 'data/a.jsonl', weight: 2 }], folder)
    expect(await codeOf(open({ files: twice }))).toBe('AMBIGUOUS_WEIGHT')
  })

  it('goes on with what it opened when its files are replaced or grow', async () => {
    putCorpus()
    const dataset = await open()
    const samples = allOf(dataset)
    const file = path.join(cacheDir(), dataset.fingerprint, 'tokens.bin')
    appendFileSync(file, 'more')
    expect(allOf(dataset)).toEqual(samples)
    rmSync(file)
    writeFileSync(file, 'something else')
    expect(allOf(dataset)).toEqual(samples)
  })

  it('reports progress by documents, tokens and file', async () => {
    putCorpus(600)
    const seen: unknown[] = []
    const dataset = await open({
      onProgress: (p) => seen.push([p.numDocuments, p.file, p.fileNumber, p.numFiles]),
    })
    expect(seen).toEqual([
      [256, 'data/a.jsonl', 1, 2],
      [512, 'data/b.jsonl', 2, 2],
    ])
    dataset.close()
  })

  it('names data without a token to train on', async () => {
    putLines('data/a.jsonl', [{ prompt: 'q'.repeat(50), completion: 'x' }])
    expect(await codeOf(open({ maxLength: 8 }))).toBe('ZERO_TRAINED_TOKENS')
    expect(await codeOf(open({ maxLength: 8 }))).toBe('ZERO_TRAINED_TOKENS')
    expect(await codeOf(open({ maxLength: 1 }))).toBe('OUT_OF_RANGE')
  })

  it('fails when the tokenizer on disk is no longer the one that was loaded', async () => {
    putCorpus()
    const at = path.join(folder, 'tokenizer')
    const mine = loadTokenizer(writeTinyTokenizer(at))
    writeTinyTokenizer(at, { numMerges: 5 })
    expect(await codeOf(open({ tokenizer: mine, numWorkers: 1 }))).toBe('TOKENIZER_THREAD_FAILED')
  })

  it('says that the cache folder cannot be written', async () => {
    putCorpus()
    writeFileSync(path.join(folder, 'file'), '')
    expect(await codeOf(open({ cacheDir: path.join(folder, 'file', 'cache') }))).toBe('CACHE_WRITE_FAILED')
  })
})
