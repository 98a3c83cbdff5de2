import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { distributed, noGrad, scope } from '@adapt-ts/torch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Document } from '../dataset/index.js'
import { chunkedTokenLosses, labelledPositions } from '../loss/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { loadTokenizer, type Tokenizer, tokenizeDocuments } from '../tokenize/index.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { evaluateText } from './bits-per-byte.js'
import { evaluateHeldOut } from './held-out-loss.js'
import { type EvaluationOptions, type Sums, scoreWindows } from './score-windows.js'

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
function natsByHand(ids: readonly number[], maxLength: number, first = tokenizer.startId): number[] {
  const inputs = [first, ...ids.slice(0, -1)]
  const losses: number[] = []
  for (let start = 0; start < ids.length; start += maxLength) {
    const tokens = inputs.slice(start, start + maxLength)
    const logits = scope(() =>
      noGrad(() =>
        model.run(embedTokens(model, toModelInputs(batchOf([[{ tokens }]]), model.device))),
      ).toFloat64Array(),
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

  it('takes a start token that stands in a text for the one it would add', async () => {
    expect(await evaluate([text(`<s>${LONG}`)])).toEqual(await evaluate([text(LONG)]))
    expect(await evaluate([completion('<s>the model', ' reads')])).toEqual(
      await evaluate([completion('the model', ' reads')]),
    )
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
    expect(sources.a!.bits_per_byte).toBeCloseTo(alone.all.bits_per_byte!, 6)
    const bits = sum(Object.values(sources).map((part) => part.bits_per_byte! * part.bytes))
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
        expect(found.sources[name]!.bits_per_byte).toBeCloseTo(expected.sources[name]!.bits_per_byte!, 6)
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
    expect(all.bits_per_byte).toBeCloseTo(few.all.bits_per_byte!, 2)
  })

  it('counts an empty document and nothing of it', async () => {
    const { all } = await evaluate([text(''), text('the data')])
    expect(all).toMatchObject({ documents: 2, bytes: 8 })
    expect(all.bits_per_byte).toBeCloseTo((await evaluate([text('the data')])).all.bits_per_byte!, 10)
  })

  it('leaves the model in training mode with no gradient', async () => {
    model.train()
    await evaluate([text(LONG)])
    expect(model.training).toBe(true)
    expect(model.parameters().every((parameter) => parameter.grad === undefined)).toBe(true)
  })
})

const TEMPLATE =
  '{{ bos_token }}{% for m in messages %}{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}' +
  '{% if add_generation_prompt %}assistant>{% endif %}'
const withTemplate = () => loadTokenizer(path.join(root, 'tokenizer'), { configured: TEMPLATE })
const chat = (...contents: string[]) =>
  record('talk', {
    kind: 'chat',
    messages: contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  })

describe('bits per byte of a model with a sliding window', () => {
  it('are those of the window: a window longer than the text gives others', async () => {
    const shape = { vocabSize: tokenizer.vocabSize, initializerRange: 0.2 }
    using sliding = createTinyLlama({ ...shape, slidingWindow: 2 })
    using open = createTinyLlama(shape)
    const ids = (await tokenizer.encodeBatch(['the data of the model']))[0]!
    const batch = batchOf([[{ tokens: [tokenizer.startId, ...ids] }]])
    const window = { source: 's', tokens: batch.tokens_BT, labels: batch.labels_BT }
    const natsOf = (model: CausalLM) => {
      const sums = new Map<string, Sums>()
      scoreWindows(model, [window], {}, sums)
      return sums.get('s')!.nats
    }
    // What training computes of the same rows.
    const expected = scope(() => {
      const hidden_BTD = embedTokens(sliding, toModelInputs(batch, sliding.device))
      const labelled = labelledPositions(batch, sliding.device)
      const loss_N = chunkedTokenLosses(labelled.select(hidden_BTD), sliding.headWeight, labelled.labels_N)
      return loss_N.toFloat32Array().reduce((sum, nats) => sum + nats, 0)
    })
    expect(natsOf(sliding)).toBeCloseTo(expected, 4)
    expect(Math.abs(natsOf(sliding) - natsOf(open))).toBeGreaterThan(1e-3)
  })
})

describe('bits per byte of conversations', () => {
  it('count the trained tokens, and the bytes of text that they hold', async () => {
    const before = 'user>what shapes it?</s>assistant>'
    const between = '</s>user>and é?</s>assistant>'
    const ids = await encode(`${before}the data${between}naïve</s>`)
    const [first, second] = [
      (await encode(before)).length,
      (await encode(`${before}the data${between}`)).length,
    ]
    const numAnswer = (await encode('the data</s>')).length
    const nats = natsByHand(ids, 32)
    const trained = [...nats.slice(first, first + numAnswer), ...nats.slice(second)]
    const documents = [chat('what shapes it?', 'the data', 'and é?', 'naïve')]
    const { sources, all } = await evaluateText(model, withTemplate(), streamOf(documents))
    expect(Object.keys(sources)).toEqual(['talk'])
    expect(all).toMatchObject({
      documents: 1,
      tokens: trained.length,
      bytes: Buffer.byteLength('the datanaïve'),
    })
    expect(all.nats_per_token).toBeCloseTo(sum(trained) / trained.length, 5)
    expect(all.bits_per_byte).toBeCloseTo(sum(trained) / (Math.LN2 * all.bytes), 5)
  })

  it('stand beside texts, which are measured as without them', async () => {
    const alone = await evaluate([text('the data')])
    const both = await evaluateText(model, withTemplate(), streamOf([chat('q', 'a'), text('the data')]))
    // Equal but for the last bits: some BLAS kernels round a batch of two rows differently from a batch of one.
    const { bits_per_byte, nats_per_token, ...counts } = alone.sources.web!
    expect(both.sources.web).toMatchObject(counts)
    expect(both.sources.web!.bits_per_byte).toBeCloseTo(bits_per_byte!, 5)
    expect(both.sources.web!.nats_per_token).toBeCloseTo(nats_per_token!, 5)
  })

  it('need a template', async () => {
    await expect(evaluate([chat('q', 'a')])).rejects.toMatchObject({ code: 'CHAT_TEMPLATE_MISSING' })
  })
})

describe('ranks that share the passes', () => {
  it('score every window once, and sum to what one finds', async () => {
    const documents = [
      text(LONG),
      text('the data', 'notes'),
      completion('what?\n', 'the data'),
      text('a model'),
    ]
    const alone = await evaluate(documents, { maxLength: 8 })
    const parts: number[][] = []
    const found = []
    for (const rank of [0, 1, 2]) {
      const allReduceNumbers = (values: readonly number[]) => {
        parts.push([...values])
        // The last rank has the parts of the others at hand.
        return values.map((_, i) => sum(parts.map((part) => part[i]!)))
      }
      const collective = { ...distributed.singleProcess, rank, worldSize: 3, allReduceNumbers }
      found.push(await evaluate(documents, { maxLength: 8, collective }))
    }
    const [first, , last] = found
    expect(first!.all.tokens).toBeLessThan(alone.all.tokens)
    expect(last!.all.tokens).toBe(alone.all.tokens)
    for (const source of ['web', 'notes', 'qa']) {
      const [shared, whole] = [last!.sources[source]!, alone.sources[source]!]
      expect(shared.nats_per_token).toBeCloseTo(whole.nats_per_token!, 6)
      for (const count of ['bytes', 'documents', 'tokens'] as const) expect(shared[count]).toBe(whole[count])
    }
  })
})

describe('the loss on held-out samples', () => {
  it('is that of the trained tokens of each piece, as in training', async () => {
    const from = withTemplate()
    const documents = [text(LONG), completion('what shapes the model?\n', 'the data'), chat('q', 'the data')]
    const dataset = await tokenizeDocuments(documents, from, 24)
    expect(dataset.numSamples).toBeGreaterThan(3)
    const found = await evaluateHeldOut(model, from, dataset, { batchSize: 3 })
    const nats: Record<string, number[]> = { web: [], qa: [], talk: [] }
    for (let i = 0; i < dataset.numSamples; i++) {
      const { tokens, labelMask, source } = dataset.sample(i)
      // By hand a row starts with the start token; a piece of a text starts with another one.
      const losses = natsByHand([...tokens.subarray(1)], 32, tokens[0]!)
      nats[source]!.push(...losses.filter((_, t) => labelMask[t + 1] === 1))
    }
    const all = Object.values(nats).flat()
    expect(found.eval_loss).toBeCloseTo(sum(all) / all.length, 5)
    expect(found.all.tokens).toBe(dataset.numLabels)
    for (const [source, losses] of Object.entries(nats)) {
      expect(found.sources[source]!.nats_per_token).toBeCloseTo(sum(losses) / losses.length, 5)
    }
    expect(found.sources.web).toMatchObject({ documents: 1, bytes: Buffer.byteLength(LONG) })
    expect(found.sources.qa).toMatchObject({ documents: 1, bytes: 8 })
    expect(found.sources.talk).toMatchObject({ documents: 1, bytes: 8 })
  })

  it('ends when it is cancelled', async () => {
    const dataset = await tokenizeDocuments([text('the data')], tokenizer, 24)
    await expect(
      evaluateHeldOut(model, tokenizer, dataset, { isCancelled: () => true }),
    ).rejects.toMatchObject({
      code: 'EVALUATION_CANCELLED',
    })
  })
})
