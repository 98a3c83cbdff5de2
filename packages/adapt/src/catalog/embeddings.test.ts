import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { type Batch, batchTokens } from '../batch/index.js'
import { fillOptions } from '../method/option-table.js'
import type { PreparationTools } from '../method/preparation.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { loadModelFolder } from '../model/index.js'
import { type representation, textEmbedding } from '../signal/index.js'
import { cleanText } from '../signal/text-embedding.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { embedding } from './embedding.js'
import { near } from './near.js'
import { anchorsOf, toolsOf } from './preparation-tools.test.fixture.js'
import { rds } from './rds.js'

const golden = openGolden<{
  readonly samples: readonly (readonly number[])[]
  readonly anchors: readonly { readonly task: string; readonly tokens: readonly number[] }[]
  readonly maxTokens: number
  readonly start: number
  readonly end: number
  readonly rds: readonly number[]
  readonly embedding: readonly number[]
  readonly last: readonly number[]
  readonly neighbours: number
  readonly near: readonly number[]
}>('embeddings')
const { samples, anchors, maxTokens, start, end } = golden.values
const model = loadModelFolder(golden.modelFolder, { requiresGrad: false })
afterAll(() => model.dispose())

/** Texts are the numbers of their tokens. */
const textOf = (tokens: readonly number[]) => tokens.join(' ')
const TASKS = anchors.map(({ task }) => task)
const ANCHORS = anchorsOf(
  anchors.map(({ tokens }) => textOf(tokens)),
  TASKS,
)

interface Seen {
  charged: number
  /** Texts that were made tokens of. */
  readonly texts: string[]
  readonly folders: (string | undefined)[]
  readonly warnings: string[]
}

function toolsFor(seen: Seen, parts: Partial<PreparationTools> = {}): PreparationTools {
  const tokenizer = {
    ...{ folder: 'f', vocabSize: model.config.vocabSize, startId: start, eosId: end },
    async encodeBatch(texts: readonly string[]) {
      seen.texts.push(...texts)
      return texts.map((text) => Int32Array.from(text.match(/\d+/g) ?? [], Number))
    },
  }
  const sample = (index: number) =>
    ({
      tokens: Int32Array.from(samples[index]!),
      labelMask: new Uint8Array(samples[index]!.length),
    }) as unknown as TokenizedSample
  return toolsOf({
    data: { numSamples: samples.length, sample } as unknown as PreparationTools['data'],
    anchors: anchors.map(({ tokens, task }): Batch => batchTokens([{ tokens, source: task }])),
    anchorDocuments: ANCHORS,
    async *texts(indexes = samples.map((_, i) => i)) {
      for (const index of indexes) yield { index, text: textOf(samples[index]!), prompt: '' }
    },
    modelFolder: (path) => `/models/${path}`,
    tokenizerOf(folder) {
      seen.folders.push(folder)
      return tokenizer
    },
    withModel(folder, use) {
      seen.folders.push(folder)
      return use(model)
    },
    async byChunk(_, width, compute) {
      const all = new Float32Array(width * samples.length)
      for (let first = 0; first < samples.length; first += 10) {
        const indexes = samples.map((_, i) => i).slice(first, first + 10)
        all.set(await compute(indexes), first * width)
      }
      return all
    },
    charge: (flops) => {
      seen.charged += flops
    },
    warn: (line) => seen.warnings.push(line),
    ...parts,
  })
}

type Definition = Pick<typeof textEmbedding | typeof representation, 'options'> & {
  readonly prepare?: unknown
}

async function prepared(
  signal: Definition,
  options: Readonly<Record<string, unknown>>,
  parts: Partial<PreparationTools> = {},
) {
  const seen: Seen = { charged: 0, texts: [], folders: [], warnings: [] }
  const prepare = signal.prepare as NonNullable<typeof representation.prepare>
  const { score_P } = await prepare(fillOptions(signal.options, options) as never, toolsFor(seen, parts))
  return { score: [...score_P!], seen }
}

function expectClose(received: readonly number[], expected: readonly number[]): void {
  expect(received).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(received[i]).toBeCloseTo(value, 5)
}

describe('rds', () => {
  it('gives the reference’s largest mean over tasks of the cosine of last states', async () => {
    expectClose((await prepared(rds.signal, rds.preset!.signal!)).score, golden.values.rds)
  })
})

describe('embedding', () => {
  const options = { cleaning: 'none', maxTokens }

  it('gives the reference’s mean cosine of texts with a start, cut to their first tokens', async () => {
    expectClose((await prepared(embedding.signal, options)).score, golden.values.embedding)
  })

  it('ends texts with the end token where its state stands for them', async () => {
    const { score } = await prepared(embedding.signal, { ...options, pooling: 'last' })
    expectClose(score, golden.values.last)
  })

  it('cleans texts as the source does, those of samples and those of queries', async () => {
    expect(cleanText('It’s A-1,\n(two)  _x_! É')).toBe('it’s a1 two  x é')
    expect(cleanText(`!"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~`)).toBe('')
    const odd = {
      anchorDocuments: anchorsOf(['A,\n5']),
      async *texts(indexes: readonly number[] = []) {
        for (const index of indexes) yield { index, text: 'B!\n7', prompt: '' }
      },
    }
    const { seen } = await prepared(embedding.signal, embedding.preset!.signal!, odd)
    expect([...new Set(seen.texts)]).toEqual(['a 5', 'b 7'])
  })

  it('joins the anchors of a task to one query, and reads prompts or all of a text', async () => {
    const told = {
      async *texts(indexes: readonly number[] = []) {
        for (const index of indexes)
          yield { index, text: `${index} 5 6`, prompt: index === 0 ? '' : `${index}` }
      },
    }
    const { seen } = await prepared(embedding.signal, { queries: 'task' }, told)
    const [law, sql, tea, ...read] = seen.texts
    const joined = (name: string) =>
      anchors
        .filter(({ task }) => task === name)
        .map(({ tokens }) => textOf(tokens))
        .join('\n')
    expect([law, sql, tea]).toEqual([joined('law'), joined('sql'), joined('tea')])
    expect(read.slice(0, 3)).toEqual(['0 5 6', '1', '2'])
    const whole = await prepared(embedding.signal, { indexed: 'text' }, told)
    expect(whole.seen.texts.slice(anchors.length, anchors.length + 2)).toEqual(['0 5 6', '1 5 6'])
  })

  it('reads an encoder with its own tokenizer, as part of what the scores depend on', async () => {
    const { seen } = await prepared(embedding.signal, { ...options, encoder: 'gtr' })
    expect(seen.folders).toEqual(['/models/gtr', '/models/gtr'])
    expect(seen.warnings).toEqual([])
    const base = (await prepared(embedding.signal, options)).seen
    expect(base.folders).toEqual([undefined, undefined])
    expect(base.warnings).toEqual([expect.stringContaining('the model before training embeds')])
    const reads = (encoder: string) =>
      textEmbedding.readsModels!(fillOptions(textEmbedding.options, { encoder }))
    expect([reads('base'), reads('gtr')]).toEqual([{}, { encoder: 'gtr' }])
  })

  it('charges the tokens that are read, and the products with the queries', async () => {
    const count = (texts: readonly (readonly number[])[]) =>
      texts.reduce((sum, { length }) => sum + Math.min(maxTokens, length + 1), 0)
    const tokens = count(samples) + count(anchors.map(({ tokens: of }) => of))
    const products = 2 * anchors.length * samples.length * model.config.hiddenSize
    const { seen } = await prepared(embedding.signal, options)
    expect(seen.charged).toBe(2 * model.numParameters * tokens + products)
  })

  it('refuses no anchors', async () => {
    const none = { anchorDocuments: [] }
    await expect(prepared(embedding.signal, options, none)).rejects.toMatchObject({ code: 'NO_ANCHORS' })
  })

  it('leaves no tensor behind', async () => {
    await prepared(embedding.signal, options)
    const before = memoryStats().liveTensors
    await prepared(embedding.signal, options)
    expect(memoryStats().liveTensors).toBe(before)
  })
})

describe('near', () => {
  it('takes the neighbours of the anchors rank by rank, and nobody else', async () => {
    const options = { ...near.preset!.signal, maxTokens, neighbors: golden.values.neighbours }
    const { score } = await prepared(near.signal, options)
    const order = [...score.keys()].filter((i) => score[i]! > -Infinity).sort((a, b) => score[b]! - score[a]!)
    expect(order).toEqual(golden.values.near)
    expect(order.length).toBeLessThan(samples.length)
  })
})
