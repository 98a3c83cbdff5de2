import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { noGrad, scope } from '@adapt-ts/torch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Document } from '../dataset/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { loadTokenizer, type Tokenizer } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { evaluateText } from './bits-per-byte.js'
import type { EvaluationOptions } from './score-windows.js'

let root = ''
let tokenizer: Tokenizer
let model: CausalLM
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-eval-'))
  tokenizer = loadTokenizer(writeTinyTokenizer(path.join(root, 'tokenizer')))
  model = createTinyLlama({ vocabSize: tokenizer.vocabSize, initializerRange: 0.2 })
})
afterAll(() => {
  model.dispose()
  rmSync(root, { recursive: true, force: true })
})

let line = 0
const record = (source: string, content: Document['content']): Document => {
  line += 1
  return { id: `${line}`, source, path: 'memory', line, byteOffset: 0, weight: 1, content }
}
const text = (value: string, source = 'web') => record(source, { kind: 'text', text: value })
const completion = (prompt: string, answer: string, source = 'qa') =>
  record(source, { kind: 'completion', prompt, completion: answer })

async function* streamOf(documents: readonly Document[]) {
  yield* documents
}
const evaluate = (documents: readonly Document[], options: EvaluationOptions = {}) =>
  evaluateText(model, tokenizer, streamOf(documents), options)

/** Nats of each of `ids`, one row at a time: the model sees the start token and the ids before, cut into windows. */
function natsByHand(ids: readonly number[], maxLength: number): number[] {
  const inputs = [tokenizer.startId, ...ids.slice(0, -1)]
  const losses: number[] = []
  for (let start = 0; start < ids.length; start += maxLength) {
    const tokens = inputs.slice(start, start + maxLength)
    const logits = scope(() =>
      noGrad(() => model.run(embedTokens(model, toModelInputs(batchOf([[{ tokens }]]))))).toFloat64Array(),
    )
    const width = logits.length / tokens.length
    for (const [t] of tokens.entries()) {
      const row = logits.subarray(t * width, (t + 1) * width)
      const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0))
      losses.push(logSum - row[ids[start + t]!]!)
    }
  }
  return losses
}
const encode = async (value: string) => [...(await tokenizer.encodeBatch([value]))[0]!]
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

const LONG =
  'the model reads the data, and the data — naïve, 数据 — shapes the model while it weighs each sample'

describe('bits per byte', () => {
  it.each([32, 8, 1])('equals a computation by hand in windows of %d', async (maxLength) => {
    const ids = await encode(LONG)
    expect(ids.length).toBeGreaterThan(40)
    const nats = sum(natsByHand(ids, maxLength))
    const bytes = Buffer.byteLength(LONG)
    const { sources, all } = await evaluate([text(LONG)], { maxLength })
    expect(all.bits_per_byte).toBeCloseTo(nats / (Math.LN2 * bytes), 5)
    expect(all.nats_per_token).toBeCloseTo(nats / ids.length, 5)
    expect(all).toMatchObject({ bytes, tokens: ids.length, documents: 1 })
    expect(sources).toEqual({ web: all })
  })

  it("is cut to the model's positions when more are asked for", async () => {
    const document = text(LONG)
    expect(await evaluate([document], { maxLength: 5000 })).toEqual(
      await evaluate([document], { maxLength: 32 }),
    )
    expect(await evaluate([document])).toEqual(await evaluate([document], { maxLength: 32 }))
  })

  it('counts the completion only, given its prompt', async () => {
    const prompt = 'what shapes the model? '
    const answer = 'the data'
    const [{ tokens, numPromptTokens }] = (await tokenizer.encodeCompletions([
      { prompt, completion: answer },
    ])) as [{ tokens: Int32Array; numPromptTokens: number }]
    expect(numPromptTokens).toBeGreaterThan(2)
    const nats = natsByHand([...tokens], 32).slice(numPromptTokens)
    const { all } = await evaluate([completion(prompt, answer)])
    expect(all.bits_per_byte).toBeCloseTo(sum(nats) / (Math.LN2 * answer.length), 5)
    expect(all).toMatchObject({ bytes: answer.length, tokens: tokens.length - numPromptTokens, documents: 1 })
  })

  it('finds a completion behind a prompt of several windows', async () => {
    const [{ tokens, numPromptTokens }] = (await tokenizer.encodeCompletions([
      { prompt: LONG, completion: ' data' },
    ])) as [{ tokens: Int32Array; numPromptTokens: number }]
    const nats = natsByHand([...tokens], 8).slice(numPromptTokens)
    const { all } = await evaluate([completion(LONG, ' data')], { maxLength: 8 })
    expect(all.nats_per_token).toBeCloseTo(sum(nats) / nats.length, 5)
  })

  it('keeps sources apart and adds them up', async () => {
    const documents = [
      text('the data', 'a'),
      text('weighs', 'b'),
      text('the user cares', 'a'),
      completion('q ', 'the model', 'b'),
    ]
    const { sources, all } = await evaluate(documents)
    expect(Object.keys(sources)).toEqual(['a', 'b'])
    for (const key of ['bytes', 'tokens', 'documents'] as const)
      expect(sources.a![key] + sources.b![key]).toBe(all[key])
    const alone = await evaluate(documents.filter(({ source }) => source === 'a'))
    expect(sources.a!.bits_per_byte).toBeCloseTo(alone.all.bits_per_byte, 6)
    const bits = sum(Object.values(sources).map((part) => part.bits_per_byte * part.bytes))
    expect(all.bits_per_byte).toBeCloseTo(bits / all.bytes, 10)
  })

  it('does not depend on the batch size or the order of documents', async () => {
    const words = LONG.split(' ')
    const documents = Array.from({ length: 12 }, (_, i) =>
      text(words.slice(0, 2 + i).join(' '), i % 2 ? 'odd' : 'even'),
    )
    const expected = await evaluate(documents, { batchSize: 1, maxLength: 16 })
    for (const batchSize of [2, 5, 64]) {
      const found = await evaluate(documents.toReversed(), { batchSize, maxLength: 16 })
      for (const name of ['odd', 'even']) {
        expect(found.sources[name]!.bits_per_byte).toBeCloseTo(expected.sources[name]!.bits_per_byte, 6)
        expect(found.sources[name]!.tokens).toBe(expected.sources[name]!.tokens)
      }
    }
  })

  it('goes through more documents than one group holds', async () => {
    const seen: number[] = []
    const documents = Array.from({ length: 300 }, (_, i) => text(`the data ${i % 7}`))
    const { all } = await evaluate(documents, { onProgress: (n) => seen.push(n) })
    expect(all.documents).toBe(300)
    expect(seen).toEqual([256, 300])
    const few = await evaluate(documents.slice(0, 7))
    expect(all.bits_per_byte).toBeCloseTo(few.all.bits_per_byte, 2)
  })

  it('counts an empty document and nothing of it', async () => {
    const { all } = await evaluate([text(''), text('the data')])
    expect(all).toMatchObject({ documents: 2, bytes: 8 })
    expect(all.bits_per_byte).toBeCloseTo((await evaluate([text('the data')])).all.bits_per_byte, 10)
  })

  it('leaves the model in training mode with no gradient', async () => {
    model.train()
    await evaluate([text(LONG)])
    expect(model.training).toBe(true)
    expect(model.parameters().every((parameter) => parameter.grad === undefined)).toBe(true)
  })
})
