import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import type { DataSource, Document } from './document.js'
import { type ReadOptions, readDocuments } from './read-documents.js'
import { resolveSources } from './resolve-sources.js'
import { XxHash64 } from './xxhash64.js'

// One set of records as other tools wrote it; tools/reference/write_data_files.py.
const golden = path.resolve(import.meta.dirname, '../../golden/data-files')

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-packed-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function read(source: string | DataSource, options?: ReadOptions, from = golden): Promise<Document[]> {
  const entry = typeof source === 'string' ? { path: source } : source
  const documents: Document[] = []
  for await (const document of readDocuments(await resolveSources([entry], from), options)) {
    documents.push(document)
  }
  return documents
}

async function errorOf(action: Promise<unknown>): Promise<AdaptError> {
  const error = await action.catch((e: unknown) => e)
  expect(error).toBeInstanceOf(AdaptError)
  return error as AdaptError
}

/** What the records say, without where they stand. */
const recordsOf = (documents: readonly Document[]) =>
  documents.map(({ id, source, weight, content }) => ({ id, source, weight, content }))

/** A copy of a golden file that `edit` changed. */
function edited(name: string, edit: (bytes: Buffer) => Buffer): string {
  writeFileSync(path.join(folder, name), edit(Buffer.from(readFileSync(path.join(golden, name)))))
  return name
}

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at < 0 ? bytes.length + at : at]! ^= 0x10
  return bytes
}

describe('Parquet files', () => {
  for (const name of ['none', 'snappy', 'gzip', 'brotli', 'zstd', 'page-index']) {
    it(`hold the records of the same JSON lines (${name})`, async () => {
      const wanted = recordsOf(await read('records.jsonl'))
      expect(wanted).toHaveLength(12)
      expect(wanted[0]!.id).toBe('9007199254740993')
      const documents = await read(`${name}.parquet`)
      expect(recordsOf(documents)).toEqual(wanted)
      expect(documents.map(({ line }) => line)).toEqual(documents.map((_, i) => i + 1))
    })
  }

  it('give rows without an id the number of the row, and obey the limit', async () => {
    const documents = await read({ path: 'bad-text.parquet', limit: 1, source: 'x' })
    expect(documents.map(({ id, source }) => [id, source])).toEqual([['bad-text.parquet:1', 'x']])
  })

  it('name a row whose text is no UTF-8, and skip it within the budget', async () => {
    const error = await errorOf(read('bad-text.parquet'))
    expect([error.code, error.exitCode]).toEqual(['BAD_UTF8', 3])
    expect(error.message).toContain('bad-text.parquet:2 (row): expected UTF-8')
    const rest = await read('bad-text.parquet', { maxBadRecords: 1 })
    expect(rest.map(({ content }) => content)).toEqual([
      { kind: 'text', text: 'good' },
      { kind: 'text', text: 'fine' },
    ])
  })

  it('of a compression that is not read are refused by its name', async () => {
    const error = await errorOf(read('lz4.parquet'))
    expect([error.code, error.exitCode]).toEqual(['PARQUET_UNSUPPORTED', 3])
    expect(error.message).toContain('compressed with LZ4')
  })

  it('without a column of a record are refused with the columns they have', async () => {
    const wrong = edited('bad-text.parquet', (bytes) =>
      Buffer.from(bytes.toString('latin1').replaceAll('text', 'tixt'), 'latin1'),
    )
    const unknown = await errorOf(read(wrong, {}, folder))
    expect(unknown.code).toBe('UNKNOWN_RECORD')
    expect(unknown.message).toContain('received the columns "tixt"')
  })

  const damaged: [string, (bytes: Buffer) => Buffer][] = [
    ['that is empty', () => Buffer.alloc(0)],
    ['cut at the end', (bytes) => bytes.subarray(0, -1)],
    ['cut in the middle', (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ['with a wrong byte in a page header', flip(4)],
    ['with a footer of impossible length', flip(-6)],
    ['of another kind', () => Buffer.from('PK\u0003\u0004 this is no table at all')],
  ]
  it.each(damaged)('%s are refused in one line', async (_, edit) => {
    const error = await errorOf(read(edited('zstd.parquet', edit), {}, folder))
    expect([error.code, error.exitCode]).toEqual(['PARQUET_DAMAGED', 3])
    expect(error.message).toMatch(/^zstd\.parquet: expected a whole Parquet file, found [^\n]+$/)
  })

  it('with any wrong bytes give records or one error, never anything else', async () => {
    let state = 1
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    for (let i = 0; i < 300; i++) {
      const name = edited(i % 2 === 0 ? 'snappy.parquet' : 'zstd.parquet', (bytes) => {
        // Half of them in the footer, where the counts and addresses are.
        const at = i % 4 < 2 ? random(bytes.length) : bytes.length - 1 - random(1500)
        bytes[at] = random(256)
        return bytes
      })
      const outcome = await read(name, {}, folder).catch((e: unknown) => e)
      if (!Array.isArray(outcome)) {
        expect(outcome).toBeInstanceOf(AdaptError)
        expect((outcome as AdaptError).message).not.toContain('\n')
      }
    }
  })

  it('that are packed once more are refused', async () => {
    copyFileSync(path.join(golden, 'none.parquet'), path.join(folder, 'a.parquet.gz'))
    const error = await errorOf(read('a.parquet.gz', {}, folder))
    expect([error.code, error.exitCode]).toEqual(['UNKNOWN_FILE_TYPE', 2])
  })
})

describe('Zstandard files', () => {
  it('hold the records of the same JSON lines, with a checksum and without', async () => {
    const wanted = recordsOf(await read('records.jsonl'))
    const unverified: string[] = []
    const onUnverified = (file: string) => unverified.push(file)
    for (const name of ['records', 'no-checksum', 'two-frames']) {
      expect(recordsOf(await read(`${name}.jsonl.zst`, { onUnverified }))).toEqual(wanted)
    }
    expect(unverified).toEqual(['two-frames.jsonl.zst'])
  })

  const damaged: [string, (bytes: Buffer) => Buffer][] = [
    ['that are empty', () => Buffer.alloc(0)],
    ['cut in the header', (bytes) => bytes.subarray(0, 5)],
    ['cut in a block', (bytes) => bytes.subarray(0, -30)],
    ['cut in the checksum', (bytes) => bytes.subarray(0, -1)],
    ['with a wrong checksum', flip(-1)],
    ['followed by other bytes', (bytes) => Buffer.concat([bytes, Buffer.from('xyz and more')])],
    ['that need a dictionary', (bytes) => Buffer.concat([bytes.subarray(0, 4), Buffer.from([0x25, 7, 9])])],
    ['with a window of a gigabyte', () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 160, 1, 0, 0])],
  ]
  it.each(damaged)('%s are refused in one line', async (_, edit) => {
    const error = await errorOf(read(edited('records.jsonl.zst', edit), {}, folder))
    expect([error.code, error.exitCode]).toEqual(['ZSTD_DAMAGED', 3])
    expect(error.message).toMatch(/^records\.jsonl\.zst: the Zstandard data [^\n]+$/)
  })

  it('that unpack to a thousand times their size are stopped', async () => {
    // Blocks that repeat one byte: three bytes of header, one of content, 128 KiB each.
    const block = Buffer.from([0x02, 0x00, 0x10, 0x0a])
    const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x38])
    writeFileSync(path.join(folder, 'a.jsonl.zst'), Buffer.concat([header, ...Array(2000).fill(block)]))
    const error = await errorOf(read('a.jsonl.zst', {}, folder))
    expect([error.code, error.exitCode]).toEqual(['ZSTD_BOMB', 7])
  })
})

describe('XxHash64', () => {
  // Published values of XXH64 with seed 0, low 32 bits.
  const known: [string, number][] = [
    ['', 0x51d8e999],
    ['a', 0xa98c6e5b],
    ['abc', 0xad770999],
    ['Nobody inspects the spammish repetition', 0x8a378bf1],
  ]
  it.each(known)('gives the known hash of "%s", in any parts', (text, wanted) => {
    const bytes = Buffer.from(text)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const hash = new XxHash64()
      hash.update(bytes.subarray(0, cut))
      hash.update(bytes.subarray(cut))
      expect(hash.low32()).toBe(wanted)
    }
  })
})
