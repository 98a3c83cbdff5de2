import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { readParquet } from './read-parquet.js'

// Tables as pyarrow wrote them; tools/reference/write_data_files.py.
const golden = path.resolve(import.meta.dirname, '../../golden/data-files')

async function rowsOf(file: string): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const { values } of readParquet({ path: file, name: path.basename(file), entry: 0 })) {
    rows.push(JSON.parse(JSON.stringify(values, (_, v) => (typeof v === 'bigint' ? { int: String(v) } : v))))
  }
  return rows
}

async function errorOf(bytes: Buffer | string): Promise<AdaptError> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-parquet-'))
  try {
    const file = path.join(folder, 'a.parquet')
    writeFileSync(file, typeof bytes === 'string' ? readFileSync(path.join(golden, bytes)) : bytes)
    const error = await rowsOf(file).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(AdaptError)
    return error as AdaptError
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A Parquet file of no more than a footer. */
function footerOnly(footer: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([Buffer.from('PAR1'), footer, length, Buffer.from('PAR1')])
}

describe('readParquet', () => {
  const wanted = JSON.parse(readFileSync(path.join(golden, 'nested.json'), 'utf8')) as unknown[]
  it.each([
    'v1-dictionary',
    'v1-plain',
    'v2-dictionary',
    'v2-plain',
    'v2-delta',
  ])('gives nested columns with nulls and empty lists the values that pyarrow does (%s)', async (name) => {
    const rows = await rowsOf(path.join(golden, `nested-${name}.parquet`))
    expect(rows).toHaveLength(60)
    expect(rows).toEqual(wanted)
  })

  it.each([
    'dictionary',
    'delta',
    'runs',
    'page',
  ])('refuses a small file that unpacks to far more, before memory is taken (%s)', async (name) => {
    const before = process.memoryUsage().rss
    const error = await errorOf(`bomb-${name}.parquet`)
    expect([error.code, error.exitCode]).toEqual(['PARQUET_BOMB', 7])
    expect(error.message).toMatch(/^a\.parquet: unpacks to more than 1000 times its size [^\n]+$/)
    expect(process.memoryUsage().rss - before).toBeLessThan(150e6)
  })

  it('refuses a footer whose lists are longer than it is, before a list is made', async () => {
    // Field 2, a list of lists of lists ..., each of 30 million.
    const list = Buffer.from([0xf9, 0x80, 0x87, 0xa7, 0x0e])
    const footer = Buffer.concat([Buffer.from([0x29]), ...Array<Buffer>(40).fill(list)])
    const before = process.memoryUsage().rss
    const error = await errorOf(footerOnly(footer))
    expect([error.code, error.exitCode]).toEqual(['PARQUET_DAMAGED', 3])
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
  })

  it('finds a changed bit in a page that has a checksum', async () => {
    const bytes = readFileSync(path.join(golden, 'checksum.parquet'))
    expect(await rowsOf(path.join(golden, 'checksum.parquet'))).toEqual([{ text: 'a river runs' }])
    const changed = Buffer.from(bytes)
    changed.write('liver', bytes.indexOf('river'), 'latin1')
    const error = await errorOf(changed)
    expect([error.code, error.exitCode]).toEqual(['PARQUET_DAMAGED', 3])
    expect(error.message).toContain('checksum')
  })

  it('names encryption as what is not read', async () => {
    const bytes = Buffer.from(readFileSync(path.join(golden, 'none.parquet')))
    bytes.write('PARE', bytes.length - 4, 'latin1')
    const error = await errorOf(bytes)
    expect([error.code, error.exitCode]).toEqual(['PARQUET_UNSUPPORTED', 3])
    expect(error.message).toContain('an encrypted footer')
  })
})
