import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { Document } from '../dataset/index.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import type { TokenDataset, TokenizedSample } from './token-dataset.js'
import { tokenizeDocuments } from './tokenize-documents.js'
import { loadTokenizer } from './tokenizer.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-samples-'))
const tokenizer = loadTokenizer(writeTinyTokenizer(root))
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

const allOf = (dataset: TokenDataset): TokenizedSample[] =>
  Array.from({ length: dataset.numSamples }, (_, i) => dataset.sample(i))

const textOf = (id: string, text: string): Document => ({
  id,
  source: 's',
  path: 'p',
  line: 1,
  byteOffset: 0,
  weight: 1,
  content: { kind: 'text', text },
})

const completionOf = (prompt: string, completion: string): Document => ({
  ...textOf('c', ''),
  content: { kind: 'completion', prompt, completion },
})

describe('samples', () => {
  it('frame a text with start and eos and predict all but the start', async () => {
    const dataset = await tokenizeDocuments([textOf('x', 'the data')], tokenizer, 32)
    const [ids] = await tokenizer.encodeBatch(['the data'])
    expect(allOf(dataset)).toEqual([
      {
        index: 0,
        id: 'x',
        source: 's',
        weight: 1,
        path: 'p',
        line: 1,
        tokens: Int32Array.from([tokenizer.startId, ...ids!, tokenizer.eosId]),
        labelMask: new Uint8Array(ids!.length + 2).fill(1, 1),
      },
    ])
  })

  it('predict the completion and the final eos of a completion, not the prompt', async () => {
    const dataset = await tokenizeDocuments([completionOf('the model', ' reads é')], tokenizer, 32)
    const { tokens, labelMask } = dataset.sample(0)
    const labels = tokens.filter((_, i) => labelMask[i] === 1)
    expect(labels.at(-1)).toBe(tokenizer.eosId)
    expect(await tokenizer.decode(labels.subarray(0, -1))).toBe(' reads é')
    expect(labelMask[0]).toBe(0)
    expect([dataset.numLabels, dataset.labelCount(0)]).toEqual([labels.length, labels.length])
  })

  it('of a split text predict every token but the first exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 2, max: 20 }),
        async (n, maxLength) => {
          const text = 'q'.repeat(n)
          const dataset = await tokenizeDocuments([textOf('d', text), textOf('e', '')], tokenizer, maxLength)
          const whole = [tokenizer.startId, ...(await tokenizer.encodeBatch([text]))[0]!, tokenizer.eosId]
          const pieces = allOf(dataset).filter((s) => s.id !== 'e')
          expect(pieces.map((s) => s.id)).toEqual(
            pieces.length === 1 ? ['d'] : pieces.map((_, k) => `d#${k}`),
          )
          const predicted: number[] = [whole[0]!]
          for (const { tokens, labelMask } of pieces) {
            expect(tokens.length).toBeLessThanOrEqual(maxLength)
            // Its first token is context: the last one of the piece before.
            expect(tokens[0]).toBe(predicted.at(-1))
            expect([...labelMask]).toEqual([...tokens].map((_, i) => (i === 0 ? 0 : 1)))
            predicted.push(...tokens.subarray(1))
          }
          expect(predicted).toEqual(whole)
          expect(dataset.numLabels).toBe(whole.length - 1 + 1)
        },
      ),
      { seed: 1, numRuns: 60 },
    )
  })

  it('of a long completion lose tokens at the right and are counted', async () => {
    const documents = [completionOf('qq', 'wwww'), completionOf('qqqqqqqq', 'w'), completionOf('q', 'w')]
    const dataset = await tokenizeDocuments(documents, tokenizer, 5)
    const [cut, unlabelled, whole] = allOf(dataset)
    expect([...cut!.labelMask]).toEqual([0, 0, 0, 1, 1])
    expect([...unlabelled!.labelMask]).toEqual([0, 0, 0, 0, 0])
    expect([...whole!.labelMask]).toEqual([0, 0, 1, 1])
    expect(cut!.tokens.includes(tokenizer.eosId)).toBe(false)
    expect([dataset.numTruncated, dataset.numUnlabelled, dataset.numLabels, dataset.numTokens]).toEqual([
      2, 1, 4, 14,
    ])
  })

  it('need a length of two tokens, and documents', async () => {
    for (const maxLength of [1, 0, -1, 2.5, Number.NaN]) {
      await expect(tokenizeDocuments([textOf('x', 'a')], tokenizer, maxLength)).rejects.toMatchObject({
        code: 'OUT_OF_RANGE',
      })
    }
    await expect(tokenizeDocuments([], tokenizer, 8)).rejects.toMatchObject({ code: 'EMPTY_DATA' })
  })

  it('are read by index only within bounds', async () => {
    const dataset = await tokenizeDocuments([textOf('x', 'a')], tokenizer, 8)
    for (const index of [-1, 1, 0.5, Number.NaN]) {
      expect(() => dataset.sample(index)).toThrow()
    }
    expect(() => dataset.length(1)).toThrow(RangeError)
  })
})
