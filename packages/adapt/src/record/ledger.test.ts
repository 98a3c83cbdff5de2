import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crc32 } from '../dataset/crc32.js'
import { type LedgerPart, readLedger } from './ledger-reader.js'
import { LedgerWriter } from './ledger-writer.js'
import type { SampleRecord } from './step-record.js'
import { truncateLedger } from './truncate-ledger.js'

let folder: string
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'ledger-')), 'ledger')
})
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }))

type Row = Omit<SampleRecord, 'id'> & { readonly step: number }

const record = (index: number, fields: Partial<SampleRecord> = {}): SampleRecord => ({
  index,
  id: `web.jsonl:${index}`,
  source: index % 3 === 0 ? 'code' : 'web',
  score: Math.fround(Math.sin(index)),
  weight: Math.fround(1 / (1 + index)),
  sampleWeight: 1,
  loss: Math.fround(index / 7),
  tokens: index % 50,
  ...fields,
})

/** Two rows a step; row numbers go on over steps. */
const samplesOf = (step: number) => [record(2 * step), record(2 * step + 1)]

function write(steps: readonly number[], options?: { maxRowsPerPart: number }): void {
  using ledger = new LedgerWriter(folder, options)
  for (const step of steps) ledger.append(step, samplesOf(step))
}

async function parts(): Promise<LedgerPart[]> {
  const found: LedgerPart[] = []
  for await (const part of readLedger(folder)) found.push(part)
  return found
}

async function rows(): Promise<Row[]> {
  return (await parts()).flatMap((part) =>
    Array.from({ length: part.rows }, (_, i) => ({
      step: part.step[i]!,
      index: part.sample[i]!,
      source: part.source[i]!,
      score: part.score[i]!,
      weight: part.weight[i]!,
      sampleWeight: part.sampleWeight[i]!,
      loss: part.loss[i]!,
      tokens: part.tokens[i]!,
    })),
  )
}

const steps = async () => [...new Set((await rows()).map(({ step }) => step))]
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

async function failure(action: () => Promise<unknown>): Promise<unknown> {
  return action().then(
    () => 'no error',
    (error: unknown) => error,
  )
}

describe('the ledger', () => {
  it('gives back every row of every step', async () => {
    write(range(1, 5))
    const expected = range(1, 5).flatMap((step) =>
      samplesOf(step).map(({ id: _, ...row }) => ({ step, ...row })),
    )
    expect(await rows()).toEqual(expected)
    expect(readdirSync(folder)).toEqual(['part-00000001-00000005-r0.parquet'])
  })

  it('keeps any float32, index, token count and source name', async () => {
    const float = fc.oneof(
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, 1),
      fc.float(),
    )
    const int = fc.oneof(fc.constantFrom(0, 2 ** 31 - 1), fc.nat(2 ** 31 - 1))
    const text = fc.oneof(fc.constantFrom('__proto__', 'constructor', '', 'ü\u0000\u{1f600}'), fc.string())
    const sample = fc.record({
      index: int,
      source: text,
      score: float,
      weight: float,
      sampleWeight: float,
      loss: float,
      tokens: int,
    })
    const property = fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.array(sample, { maxLength: 9 })), {
        maxLength: 9,
      }),
      fc.integer({ min: 1, max: 12 }),
      async (drawn, maxRowsPerPart) => {
        rmSync(folder, { recursive: true, force: true })
        let step = 0
        const expected: Row[] = []
        {
          using ledger = new LedgerWriter(folder, { maxRowsPerPart })
          for (const [gap, samples] of drawn) {
            step += gap
            ledger.append(
              step,
              samples.map((row) => ({ ...row, id: '' })),
            )
            for (const row of samples) expected.push({ step, ...row })
          }
        }
        const found = await rows()
        expect(found.length).toBe(expected.length)
        for (const [i, row] of expected.entries()) {
          // toEqual tells -0 from 0.
          expect(found[i]).toEqual(row)
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  it('cuts parts between steps only, before they grow beyond their size', async () => {
    write(range(1, 7), { maxRowsPerPart: 5 })
    expect((await parts()).map(({ firstStep, lastStep, rows }) => [firstStep, lastStep, rows])).toEqual([
      [1, 2, 4],
      [3, 4, 4],
      [5, 6, 4],
      [7, 7, 2],
    ])
    write([8], { maxRowsPerPart: 1 })
    expect((await parts()).at(-1)!.rows).toBe(2)
  })

  it('goes on after the parts that are there and refuses a step twice', async () => {
    write(range(1, 3))
    write(range(4, 6))
    expect(await steps()).toEqual(range(1, 6))
    using ledger = new LedgerWriter(folder)
    expect(() => ledger.append(6, samplesOf(6))).toThrow('expected a step after 6, received 6')
    expect(() => ledger.append(7, [record(2 ** 31)])).toThrow(RangeError)
    ledger.append(7, [])
    expect(ledger.bufferedRows).toBe(0)
  })

  it('keeps the parts of ranks apart', async () => {
    for (const rank of [1, 0]) {
      using ledger = new LedgerWriter(folder, { rank })
      for (const step of [1, 2]) ledger.append(step, samplesOf(step))
    }
    expect((await parts()).map(({ rank, rows }) => [rank, rows])).toEqual([
      [0, 4],
      [1, 4],
    ])
  })

  it('reports a folder that cannot be made or is not there', async () => {
    expect(await failure(parts)).toMatchObject({ code: 'LEDGER_MISSING', exitCode: 2 })
    writeFileSync(folder, '')
    expect(() => new LedgerWriter(folder)).toThrow(
      expect.objectContaining({ code: 'LEDGER_WRITE', exitCode: 5 }),
    )
  })
})

describe('a damaged ledger', () => {
  const refused = { code: 'LEDGER_DAMAGED', exitCode: 7 }
  const part = () => join(folder, readdirSync(folder)[0]!)

  it('is refused for a flip of any byte and a cut at any length, naming the file', async () => {
    write(range(1, 3))
    const path = part()
    const whole = readFileSync(path)
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole)
      flipped[at]! ^= 1 << (at % 8)
      for (const bytes of [flipped, whole.subarray(0, at)]) {
        writeFileSync(path, bytes)
        const error = await failure(parts)
        expect(error, `byte ${at}`).toMatchObject({ ...refused, message: expect.stringContaining(path) })
      }
    }
    writeFileSync(path, Buffer.concat([whole, Buffer.alloc(3)]))
    expect(await failure(parts)).toMatchObject(refused)
    writeFileSync(path, whole)
    expect(await steps()).toEqual([1, 2, 3])
  })

  it('with a checksum that someone made fit is refused or read, never worse', async () => {
    write(range(1, 20))
    const path = part()
    const whole = readFileSync(path)
    const mark = Buffer.from('adapt.crc32\x18\x08', 'latin1')
    const footer = whole.length - 8 - whole.readUInt32LE(whole.length - 8)
    const change = fc.record({ at: fc.integer({ min: footer, max: whole.length - 1 }), value: fc.nat(255) })
    const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      const bytes = Buffer.from(whole)
      for (const { at, value } of changes) bytes[at] = value
      const place = bytes.lastIndexOf(mark) + mark.length
      if (place >= mark.length && place + 8 <= bytes.length) {
        bytes.write('00000000', place, 'latin1')
        bytes.write(crc32(bytes).toString(16).padStart(8, '0'), place, 'latin1')
      }
      writeFileSync(path, bytes)
      const error = await failure(parts)
      if (error !== 'no error') expect(error).toMatchObject(refused)
    })
    await fc.assert(property, { numRuns: 300 })
  })

  it('is refused when a part has the name of other steps, or steps appear twice', async () => {
    write([1, 2])
    const path = part()
    renameSync(path, join(folder, 'part-00000001-00000003-r0.parquet'))
    expect(await failure(parts)).toMatchObject(refused)
    renameSync(part(), join(folder, 'mine.parquet'))
    expect(await failure(parts)).toMatchObject({
      message: expect.stringContaining('a name that no part has'),
    })
    renameSync(part(), path)
    writeFileSync(join(folder, 'part-00000002-00000002-r0.parquet'), readFileSync(path))
    expect(await failure(parts)).toMatchObject({ message: expect.stringContaining('another part holds too') })
  })

  it('is refused when a part is a folder', async () => {
    mkdirSync(join(folder, 'part-00000001-00000001-r0.parquet'), { recursive: true })
    expect(await failure(parts)).toMatchObject({ code: 'NOT_A_FILE', exitCode: 7 })
  })
})

describe('truncateLedger', () => {
  it('leaves exactly the steps up to the checkpoint, whatever its step, and lets the run go on', async () => {
    for (const step of range(0, 9)) {
      rmSync(folder, { recursive: true, force: true })
      write(range(1, 8), { maxRowsPerPart: 6 })
      writeFileSync(join(folder, 'part-00000009-00000010-r0.parquet.tmp'), 'torn')
      await truncateLedger(folder, step)
      expect(await steps(), `step ${step}`).toEqual(range(1, Math.min(step, 8)))
      expect(readdirSync(folder).every((name) => name.endsWith('.parquet'))).toBe(true)
      const first = Math.min(step, 8) + 1
      write([first])
      expect((await rows()).slice(-2)).toEqual(
        samplesOf(first).map(({ id: _, ...row }) => ({ step: first, ...row })),
      )
    }
  })

  it('finishes what an interrupted truncation began', async () => {
    write(range(1, 6))
    const [name] = readdirSync(folder)
    const old = readFileSync(join(folder, name!))
    await truncateLedger(folder, 4)
    // As after a crash between the new part and the removal of the old one.
    writeFileSync(join(folder, name!), old)
    await truncateLedger(folder, 4)
    expect(await steps()).toEqual([1, 2, 3, 4])
    writeFileSync(join(folder, name!), old)
    await truncateLedger(folder, 2)
    expect(await steps()).toEqual([1, 2])
  })

  it('ends a part with the last step that has rows', async () => {
    {
      using ledger = new LedgerWriter(folder)
      for (const step of [2, 3, 9]) ledger.append(step, samplesOf(step))
    }
    await truncateLedger(folder, 6)
    expect((await parts()).map(({ firstStep, lastStep }) => [firstStep, lastStep])).toEqual([[2, 3]])
    expect(await steps()).toEqual([2, 3])
  })

  it('does nothing without a folder and says which part it could not cut', async () => {
    await truncateLedger(folder, 3)
    write(range(1, 4))
    const path = join(folder, readdirSync(folder)[0]!)
    writeFileSync(path, readFileSync(path).subarray(0, 100))
    expect(await failure(() => truncateLedger(folder, 2))).toMatchObject({
      code: 'LEDGER_DAMAGED',
      message: expect.stringContaining(path),
    })
  })
})

describe('a writer that is stopped by force', () => {
  const script = (body: string) => `
    import { LedgerWriter } from ${JSON.stringify(new URL('./ledger-writer.js', import.meta.url).href)}
    const ledger = new LedgerWriter(process.argv[1])
    const samples = (step) => Array.from({ length: 50 }, (_, i) =>
      ({ index: 50 * step + i, id: '', source: 's' + i, score: i, weight: Math.sin(step * i), sampleWeight: 1, loss: i, tokens: 3 }))
    ${body}`

  it('leaves the parts that were flushed', async () => {
    const body = `
      for (let step = 1; step <= 30; step++) {
        ledger.append(step, samples(step))
        if (step % 10 === 0) ledger.flush()
        if (step === 25) process.kill(process.pid, 'SIGKILL')
      }`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script(body), folder])
    expect(child.signal).toBe('SIGKILL')
    expect(await steps()).toEqual(range(1, 20))
  })

  it.skipIf(process.platform === 'win32')(
    'leaves whole parts and no remains when the disk is full, and keeps the rows for another try',
    async () => {
      // The limit on file sizes stands in for the full disk: the kernel takes some bytes of a part and refuses the rest.
      const body = `
        ledger.append(1, samples(1).slice(0, 2))
        ledger.flush()
        for (let step = 2; step <= 9; step++) ledger.append(step, samples(step))
        try {
          ledger.flush()
        } catch (error) {
          console.log(JSON.stringify([error.code, error.exitCode, ledger.bufferedRows]))
        }`
      const command = `trap '' XFSZ; ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"`
      const child = spawnSync('/bin/sh', ['-c', command, process.execPath, script(body), folder], {
        encoding: 'utf8',
      })
      expect(JSON.parse(child.stdout)).toEqual(['LEDGER_WRITE', 5, 400])
      expect(await steps()).toEqual([1])
      expect(readdirSync(folder)).toEqual(['part-00000001-00000001-r0.parquet'])
    },
  )
})
