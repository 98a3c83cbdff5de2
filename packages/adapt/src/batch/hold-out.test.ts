import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Document } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { loadTokenizer, type TokenDataset, tokenizeDocuments } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { holdOut } from './hold-out.js'
import { createRowStream } from './row-stream.js'

let root = ''
let dataset: TokenDataset
beforeAll(async () => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-hold-out-'))
  const tokenizer = loadTokenizer(writeTinyTokenizer(root))
  // Documents of one to five pieces, from three sources; the first source has one document.
  const documents = Array.from(
    { length: 100 },
    (_, i): Document => ({
      id: `d${i}`,
      source: i === 0 ? 'rare' : `s${i % 2}`,
      path: 'p.jsonl',
      line: i + 1,
      byteOffset: 0,
      weight: 1,
      content: { kind: 'text', text: 'q'.repeat(1 + 7 * (i % 5)) },
    }),
  )
  dataset = await tokenizeDocuments(documents, tokenizer, 8)
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

const idsOf = (part: TokenDataset): string[] =>
  Array.from({ length: part.numSamples }, (_, i) => part.sample(i).id)
const documentsOf = (part: TokenDataset): string[] => [...new Set(idsOf(part).map((id) => id.split('#')[0]!))]

describe('holdOut', () => {
  it('without a size trains on everything', () => {
    expect(holdOut(dataset, undefined, 0)).toEqual({ train: dataset })
  })

  it('parts the samples, all pieces of a document on one side', () => {
    for (const [size, count] of [
      [0.1, 10],
      [17, 17],
      [0.001, 1],
      [99, 99],
    ] as const) {
      const { train, validation } = holdOut(dataset, size, 3)
      expect(validation!.numDocuments).toBe(count)
      expect(documentsOf(validation!)).toHaveLength(count)
      expect(train.numDocuments).toBe(100 - count)
      expect([...idsOf(train), ...idsOf(validation!)].sort()).toEqual(idsOf(dataset).sort())
      expect(documentsOf(train).filter((id) => documentsOf(validation!).includes(id))).toEqual([])
    }
  })

  it('is a function of the seed', () => {
    const held = (seed: number) => documentsOf(holdOut(dataset, 20, seed).validation!)
    expect(held(1)).toEqual(held(1))
    expect(held(1)).not.toEqual(held(2))
  })

  it('holds every document out as often as any other', () => {
    const counts = new Map<string, number>()
    for (let seed = 0; seed < 400; seed++) {
      for (const id of documentsOf(holdOut(dataset, 25, seed).validation!))
        counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    // 100 expected each; five standard deviations of a binomial are 43.
    expect(counts.size).toBe(100)
    for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(43)
  })

  it('gives views that agree with the whole', () => {
    const { train } = holdOut(dataset, 0.3, 5)
    const byId = new Map(idsOf(dataset).map((id, i) => [id, i]))
    let numLabels = 0
    for (let i = 0; i < train.numSamples; i++) {
      const sample = train.sample(i)
      const at = byId.get(sample.id)!
      expect(sample).toEqual({ ...dataset.sample(at), index: i })
      expect(train.origin(i)).toEqual({ ...dataset.origin(at), index: i })
      expect(train.sources[train.sourceIndex(i)]).toBe(sample.source)
      expect([train.length(i), train.labelCount(i)]).toEqual([dataset.length(at), dataset.labelCount(at)])
      numLabels += train.labelCount(i)
    }
    expect(train.numLabels).toBe(numLabels)
    expect(() => train.sample(train.numSamples)).toThrow(RangeError)
    expect(() => train.length(-1)).toThrow(RangeError)
  })

  it('leaves out a source that is held out whole, so that its mixing can be planned', () => {
    const seed = Array.from({ length: 200 }, (_, s) => s).find((s) =>
      holdOut(dataset, 5, s).validation!.sources.includes('rare'),
    )!
    const { train } = holdOut(dataset, 5, seed)
    expect([...train.sources].sort()).toEqual(['s0', 's1'])
    for (let i = 0; i < train.numSamples; i++) {
      expect(train.sources[train.sourceIndex(i)]).toBe(train.sample(i).source)
    }
    const rows = createRowStream({
      dataset: train,
      seed: 0,
      maxLength: 8,
      packing: false,
      mixing: 'stratified',
    })
    expect(
      rows
        .next(train.numSamples)
        .rows.flat()
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: train.numSamples }, (_, i) => i))
  })

  it('refuses to hold out everything, or a part without a trained token', async () => {
    const codeOf = (action: () => unknown): string => {
      try {
        action()
      } catch (error) {
        expect(error).toBeInstanceOf(AdaptError)
        return (error as AdaptError).code
      }
      return 'none'
    }
    expect(codeOf(() => holdOut(dataset, 100, 0))).toBe('VAL_SET_TOO_LARGE')
    expect(codeOf(() => holdOut(dataset, 0.9999, 0))).toBe('VAL_SET_TOO_LARGE')
    const tokenizer = loadTokenizer(root)
    const untrained = (completion: string): Document['content'] => ({
      kind: 'completion',
      prompt: 'qqqqqqqqq',
      completion,
    })
    const documents = [untrained('w'), untrained('w')].map(
      (content, i): Document => ({
        ...{ id: `u${i}`, source: 's', path: 'p', line: i + 1, byteOffset: 0, weight: 1 },
        content: i === 0 ? content : { kind: 'text', text: 'q' },
      }),
    )
    const mixed = await tokenizeDocuments(documents, tokenizer, 8)
    expect(codeOf(() => holdOut(mixed, 1, 0))).toBe('VAL_SET_UNTRAINED')
  })
})
