import { noGrad, scope, tensor } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { batchTokens } from '../batch/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  type CausalLM,
  embedTokens,
  fillCache,
  forwardCached,
  KeyValueCache,
  loadModelFolder,
  toModelInputs,
} from '../model/index.js'
import { createTinyLlama, createTokens, TINY_CONFIG } from '../model/tiny-llama.test.fixture.js'
import { GenerationBatch, type GenerationBatchOptions, type PromptRow } from './generation-batch.js'

interface GreedyRuns {
  readonly runs: readonly { readonly prompt: number[]; readonly eos: number[]; readonly ids: number[] }[]
}

/** Tokens and reason of every row. */
function runBatch(model: CausalLM, prompts: readonly PromptRow[], options: GenerationBatchOptions = {}) {
  using batch = new GenerationBatch(model, prompts, options)
  const found = prompts.map(() => ({ ids: [] as number[], reason: '' }))
  for (let steps = batch.step(); steps.length > 0; steps = batch.step()) {
    for (const { row, token, reason } of steps) {
      if (token === undefined) found[row]!.reason = reason
      else found[row]!.ids.push(token)
    }
  }
  return found
}

describe.each(['llama', 'llama3', 'mistral', 'qwen2-window', 'qwen3'])('a batch of %s', (name) => {
  const { modelFolder, values } = openGolden<GreedyRuns>(`generate-${name}`)
  const plain = values.runs.filter(({ eos }) => eos.length === 0)

  it('takes the tokens that transformers takes of each prompt by itself, and rows leave at a stop', () => {
    using model = loadModelFolder(modelFolder)
    const prompts = plain.map(({ prompt }) => ({ tokens: prompt, maxNewTokens: 20 }))
    expect(runBatch(model, prompts)).toEqual(plain.map(({ ids }) => ({ ids, reason: 'length' })))
    for (const { eos } of values.runs.filter((run) => run.eos.length > 0)) {
      const cut = plain.map(({ ids }) => {
        const end = ids.findIndex((id) => eos.includes(id))
        return end < 0 ? { ids, reason: 'length' } : { ids: ids.slice(0, end), reason: 'stop' }
      })
      expect(runBatch(model, prompts, { stopIds: eos })).toEqual(cut)
    }
  })
})

describe('GenerationBatch', () => {
  const model = createTinyLlama()
  afterAll(() => model.dispose())
  const draw = createTokens(5, TINY_CONFIG.vocabSize)
  const texts = [3, 11, 1, 7, 7, 20].map((length) => draw(length))

  it.each([
    ['greedy', { temperature: 0 }],
    ['drawn', { temperature: 1.4, topK: 30, topP: 0.95 }],
  ])('gives each row what it gets alone, wherever it stands and whatever ends beside it (%s)', (_, options) => {
    const prompts = texts.map((tokens, i) => ({ tokens, maxNewTokens: [9, 12, 1, 40, 5, 40][i]!, seed: i }))
    const alone = prompts.map((prompt) => runBatch(model, [prompt], options)[0]!)
    expect(alone.map(({ ids }) => ids.length)).toEqual([9, 12, 1, 26, 5, 13])
    expect(alone.map(({ reason }) => reason)).toEqual([
      ...['length', 'length', 'length', 'context', 'length', 'context'],
    ])
    expect(runBatch(model, prompts, options)).toEqual(alone)
    expect(runBatch(model, [...prompts].reverse(), { ...options, maxPositions: 12 })).toEqual(
      [...alone].reverse(),
    )
  })

  it('draws rows of one text by their seeds', () => {
    const tokens = [5, 9, 20]
    const [a, b, c] = runBatch(
      model,
      [1, 2, 1].map((seed) => ({ tokens, seed, maxNewTokens: 16 })),
      { temperature: 1.5 },
    )
    expect(a).toEqual(c)
    expect(a).not.toEqual(b)
  })

  it('gives no more to a row that was ended, before the first step or between two', () => {
    using batch = new GenerationBatch(
      model,
      texts.map((tokens) => ({ tokens, maxNewTokens: 4 })),
    )
    batch.end(5)
    expect(batch.step().map(({ row }) => row)).toEqual([0, 1, 2, 3, 4])
    batch.end(1)
    batch.end(2)
    expect(batch.step().map(({ row }) => row)).toEqual([0, 3, 4])
    for (const row of [0, 3, 4]) batch.end(row)
    expect(batch.step()).toEqual([])
  })
})

describe.each([
  ['all that is before', {}],
  ['a window', { slidingWindow: 4 }],
])('rows of a cache that look at %s', (_, more) => {
  it('have the logits of each text by itself to 1e-5, and after some have left', () => {
    using model = createTinyLlama(more)
    const draw = createTokens(8, TINY_CONFIG.vocabSize)
    const texts = [2, 9, 5, 5].map((length) => draw(length))
    const next = Array.from({ length: 6 }, () => draw(texts.length))
    using cache = new KeyValueCache(model.config, 9 + next.length, {
      padding: texts.map(({ length }) => 9 - length),
      device: model.device,
    })
    const expected = (tokens: readonly number[]) => {
      const hidden = embedTokens(model, toModelInputs(batchTokens([tokens]), model.device))
      const logits = model.forward(hidden).toFloat32Array()
      return [...logits.subarray(logits.length - TINY_CONFIG.vocabSize)]
    }
    noGrad(() =>
      scope(() => {
        const V = TINY_CONFIG.vocabSize
        const check = (logits: Float32Array, rows: readonly (readonly number[])[]) => {
          for (const [i, tokens] of rows.entries()) {
            const found = logits.subarray(i * V, (i + 1) * V)
            const difference = expected(tokens).map((value, v) => Math.abs(value - found[v]!))
            expect(Math.max(...difference)).toBeLessThan(1e-5)
          }
        }
        check(model.forward(fillCache(model, texts, cache, { maxPositions: 11 })).toFloat32Array(), texts)
        let rows = texts
        for (const [n, ids] of next.entries()) {
          const kept = n === 3 ? [0, 2, 3] : [...rows.keys()]
          if (n === 3)
            cache.keep(kept, tensor(Int32Array.from(kept), [3], { dtype: 'int64', device: model.device }))
          const tokens = kept.map((row) => ids[row]!)
          rows = kept.map((row, i) => [...rows[row]!, tokens[i]!])
          check(model.forward(forwardCached(model, tokens, cache)).toFloat32Array(), rows)
        }
      }),
    )
  })
})
