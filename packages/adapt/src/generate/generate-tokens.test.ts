import { fill_, noGrad, scope } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { batchTokens } from '../batch/index.js'
import type { AdaptError } from '../errors.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { type CausalLM, embedTokens, loadModelFolder, toModelInputs } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { type GenerateOptions, generateTokens } from './generate-tokens.js'
import { greedyToken } from './sample-token.js'
import { streamText } from './stream-text.js'

interface GreedyRuns {
  readonly runs: readonly { readonly prompt: number[]; readonly eos: number[]; readonly ids: number[] }[]
}

function generate(model: CausalLM, prompt: readonly number[], options: GenerateOptions) {
  const tokens = generateTokens(model, prompt, options)
  const ids: number[] = []
  for (let next = tokens.next(); ; next = tokens.next()) {
    if (next.done) return { ids, reason: next.value }
    ids.push(next.value)
  }
}

describe.each(['llama', 'llama3', 'mistral', 'qwen2-window', 'qwen3'])('greedy generation of %s', (name) => {
  const golden = openGolden<GreedyRuns>(`generate-${name}`)

  it('takes the tokens that transformers takes', () => {
    using model = loadModelFolder(golden.modelFolder)
    for (const { prompt, eos, ids } of golden.values.runs) {
      const { ids: found, reason } = generate(model, prompt, { maxNewTokens: 20, stopIds: eos })
      // transformers' list ends with the stop token.
      const stops = eos.includes(ids.at(-1)!)
      expect(found).toEqual(stops ? ids.slice(0, -1) : ids)
      expect(reason).toBe(stops ? 'stop' : 'length')
    }
  })
})

describe('generateTokens', () => {
  const model = createTinyLlama()
  afterAll(() => model.dispose())
  const prompt = [5, 9, 20]
  const many = { maxNewTokens: 24, temperature: 1.5 }

  it('sees through the cache what a forward over the whole text sees', () => {
    const ids = [...prompt]
    for (let i = 0; i < 12; i++) {
      const logits = noGrad(() =>
        scope(() =>
          model.forward(embedTokens(model, toModelInputs(batchTokens([ids]), model.device))).toFloat32Array(),
        ),
      )
      ids.push(greedyToken(logits.subarray(logits.length - model.config.vocabSize)))
    }
    expect(generate(model, prompt, { maxNewTokens: 12 }).ids).toEqual(ids.slice(prompt.length))
  })

  it('is refused with a NaN among the weights, which would be token 0 for ever', () => {
    using broken = createTinyLlama()
    noGrad(() => fill_(broken.model.norm.weight, Number.NaN))
    expect(() => generate(broken, prompt, many)).toThrow(
      expect.objectContaining({ code: 'NOT_FINITE', exitCode: 4 }),
    )
  })

  it('draws the same text under the same seed, and another under another', () => {
    const first = generate(model, prompt, { ...many, seed: 3 }).ids
    expect(generate(model, prompt, { ...many, seed: 3 }).ids).toEqual(first)
    expect(generate(model, prompt, { ...many, seed: 4 }).ids).not.toEqual(first)
    expect(first).toHaveLength(24)
  })

  it('takes the most likely token only when nothing else is left', () => {
    const greedy = generate(model, prompt, { maxNewTokens: 24 }).ids
    expect(generate(model, prompt, { ...many, topP: 1e-9 }).ids).toEqual(greedy)
    expect(generate(model, prompt, { ...many, topK: 1 }).ids).toEqual(greedy)
  })

  it('ends where the model ends, and refuses a prompt that fills it', () => {
    const { ids, reason } = generate(model, prompt, { maxNewTokens: 100 })
    expect(reason).toBe('context')
    expect(ids).toHaveLength(32 - prompt.length + 1)
    const tooLong = Array.from({ length: 32 }, () => 4)
    expect(codeOf(() => generate(model, tooLong, {}))).toBe('PROMPT_TOO_LONG')
  })

  it.each([
    { temperature: -1 },
    { temperature: Number.NaN },
    { topP: 0 },
    { topP: 1.5 },
    { topK: -1 },
  ])('refuses %o', (options) => expect(codeOf(() => generate(model, prompt, options))).toBe('OUT_OF_RANGE'))

  it('leaves the model in the mode in which it was', () => {
    model.train()
    generate(model, prompt, { maxNewTokens: 2 })
    expect(model.training).toBe(true)
    model.eval()
  })
})

describe('streamText', () => {
  it('gives the text in pieces, and a character of several tokens in one', async () => {
    const bytes = [...Buffer.from('a\u00e9\u{1f600}b')]
    const tokenizer = {
      decode: async (ids: ArrayLike<number>) => Buffer.from(Array.from(ids)).toString('utf8'),
    }
    function* tokens(): Generator<number, string, undefined> {
      yield* bytes
      return 'length'
    }
    const { pieces, end } = await collect(streamText(tokens(), tokenizer))
    expect(end).toEqual({ text: pieces.join(''), ids: bytes, reason: 'length' })
    expect(pieces).toEqual(['a', '\u00e9', '\u{1f600}', 'b'])
  })

  it('ends before a stop text, whose beginning is never shown', async () => {
    const bytes = [...Buffer.from('yes<b<end>no')]
    const tokenizer = {
      decode: async (ids: ArrayLike<number>) => Buffer.from(Array.from(ids)).toString('utf8'),
    }
    function* tokens(): Generator<number, string, undefined> {
      yield* bytes
      return 'length'
    }
    const { pieces, end } = await collect(streamText(tokens(), tokenizer, '<end>'))
    expect(pieces.join('|')).toBe('y|e|s|<b')
    expect(end).toEqual({ text: 'yes<b', ids: bytes.slice(0, 10), reason: 'stop' })
    const unfinished = await collect(streamText(tokens(), tokenizer, '<never>'))
    expect(unfinished.pieces.join('')).toBe('yes<b<end>no')
  })
})

async function collect<Last>(stream: AsyncGenerator<string, Last, undefined>) {
  const pieces: string[] = []
  for (let next = await stream.next(); ; next = await stream.next()) {
    if (next.done) return { pieces, end: next.value }
    pieces.push(next.value)
  }
}

function codeOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    return (error as AdaptError).code
  }
  return 'nothing was thrown'
}
