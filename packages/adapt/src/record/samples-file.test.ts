import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Document } from '../dataset/index.js'
import { loadTokenizer, tokenizeDocuments } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { readSamples, writeSamples } from './samples-file.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'samples-'))
  path = join(folder, 'samples.parquet')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A dataset of made-up samples; some sources and ids are awkward. */
const madeUp = (numSamples: number) => ({
  numSamples,
  length: (index: number) => index % 300,
  origin: (index: number) => ({
    index,
    id: index % 10 === 0 ? `__proto__${index}` : `data/web-${index % 7}.jsonl:${index}#${index % 3}`,
    source: ['web', '__proto__', 'ü'][index % 3]!,
    weight: index % 2 ? 0.5 : 1,
    path: `data/web-${index % 7}.jsonl`,
    line: index + 1,
  }),
})

describe('samples.parquet', () => {
  it('leads from the dense index back to the record of a tokenised dataset', async () => {
    const tokenizer = loadTokenizer(writeTinyTokenizer(join(folder, 'tokenizer')))
    const document = (id: string, line: number, text: string): Document => ({
      id,
      path: 'a.jsonl',
      line,
      byteOffset: 0,
      source: 'book',
      weight: 0.25,
      content: { kind: 'text', text },
    })
    const dataset = await tokenizeDocuments(
      [document('first', 3, 'the data'), document('long', 4, 'the model reads data '.repeat(20))],
      tokenizer,
      32,
    )
    await writeSamples(path, dataset)
    const samples = await readSamples(path)
    expect(samples.size).toBe(dataset.numSamples)
    expect(samples.size).toBeGreaterThan(2)
    for (let index = 0; index < dataset.numSamples; index++) {
      const { id, source, path, line, weight, tokens } = dataset.sample(index)
      expect(samples.get(index)).toEqual({ id, source, path, line, weight, tokens: tokens.length })
    }
    expect(samples.get(1)!.id).toBe('long#0')
  })

  it('gives what is asked for out of many row groups', async () => {
    const dataset = madeUp(70_000)
    await writeSamples(path, dataset)
    const wanted = new Set([69_999, 0, 32_768, 70_000])
    const samples = await readSamples(path, wanted)
    expect([...samples.keys()].sort((a, b) => a - b)).toEqual([0, 32_768, 69_999])
    for (const [index, sample] of samples) {
      const { index: _, ...origin } = dataset.origin(index)
      expect(sample).toEqual({ ...origin, tokens: dataset.length(index) })
    }
    expect((await readSamples(path)).size).toBe(70_000)
    expect(readdirSync(folder)).toEqual(['samples.parquet'])
  })

  it('may be empty, and is an error when it is missing or damaged', async () => {
    await writeSamples(path, madeUp(0))
    expect(await readSamples(path)).toEqual(new Map())
    await writeSamples(path, madeUp(20))
    const whole = readFileSync(path)
    for (let at = 0; at < whole.length; at += 37) {
      const flipped = Buffer.from(whole)
      flipped[at]! ^= 4
      writeFileSync(path, flipped)
      await expect(readSamples(path), `byte ${at}`).rejects.toMatchObject({
        code: 'SAMPLES_DAMAGED',
        exitCode: 7,
      })
    }
    rmSync(path)
    await expect(readSamples(path)).rejects.toMatchObject({ code: 'SAMPLES_MISSING', exitCode: 2 })
  })

  it('leaves nothing behind when the dataset cannot be read or the folder is not there', async () => {
    const dataset = madeUp(40_000)
    const broken = {
      ...dataset,
      origin(index: number) {
        if (index === 39_000) throw new Error('gone')
        return dataset.origin(index)
      },
    }
    await expect(writeSamples(path, broken)).rejects.toThrow('gone')
    expect(readdirSync(folder)).toEqual([])
    await expect(writeSamples(join(folder, 'no', 'file'), dataset)).rejects.toMatchObject({
      code: 'SAMPLES_WRITE',
      exitCode: 5,
    })
  })
})
