import { logSoftmax, mul_, noGrad, scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { batchTokens } from '../batch/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { createTinyLlama, createTokens, TINY_CONFIG } from '../model/tiny-llama.test.fixture.js'
import { ranksOfOneProcess } from '../ranks.test.fixture.js'
import { planTrees, type ScoredText } from './plan-trees.js'
import { scoreTexts } from './score-texts.js'

const draw = createTokens(3, TINY_CONFIG.vocabSize)
const text = (tokens: readonly number[], numTargets: number): ScoredText => ({
  input: Int32Array.from(tokens.slice(0, -1)),
  targets: Int32Array.from(tokens.slice(tokens.length - numTargets)),
})

/** A shared beginning, documents behind it, choices behind those; texts that begin with nothing in common; the same text twice. */
function texts(prefixLength: number): ScoredText[] {
  const prefix = draw(prefixLength)
  const documents = Array.from({ length: 6 }, (_, d) => draw(3 + 2 * d))
  const choices = documents.flatMap((document) =>
    [1, 2, 4].map((count) => text([...prefix, ...document, ...draw(count)], count)),
  )
  const [same] = choices
  return [...choices, text(draw(9), 4), text(draw(5), 4), same!, text([...draw(1), ...draw(1)], 1)]
}

/** One text at a time, all positions of it. */
function expectedOf(model: CausalLM, { input, targets }: ScoredText) {
  return noGrad(() =>
    scope(() => {
      const hidden = embedTokens(model, toModelInputs(batchTokens([input]), model.device))
      const values = logSoftmax(model.forward(hidden), -1).toFloat32Array()
      const V = TINY_CONFIG.vocabSize
      let logLikelihood = 0
      let isGreedy = true
      for (let t = 0; t < targets.length; t++) {
        const row = values.subarray((input.length - targets.length + t) * V).subarray(0, V)
        logLikelihood += row[targets[t]!]!
        isGreedy &&= row.indexOf(Math.max(...row)) === targets[t]
      }
      return { logLikelihood, isGreedy }
    }),
  )
}

describe('scoreTexts', () => {
  it.each([
    ['nothing in common', 0, {}],
    ['a short beginning', 7, {}],
    ['a long beginning', 40, {}],
    ['a long beginning, and a window that leaves it', 40, { slidingWindow: 9 }],
    ['norms of heads', 40, { qkNorm: true }],
  ])('gives what each text gives by itself: %s', async (_, prefixLength, more) => {
    const model = createTinyLlama({ maxPositionEmbeddings: 64, ...more })
    const all = texts(prefixLength)
    const expected = all.map((one) => expectedOf(model, one))
    for (const maxPositions of [1, 20, 60, 1000]) {
      const found = await scoreTexts(model, all, { maxPositions })
      for (const [i, { logLikelihood, isGreedy }] of found.entries()) {
        expect(logLikelihood).toBeCloseTo(expected[i]!.logLikelihood, 4)
        expect(isGreedy).toBe(expected[i]!.isGreedy)
      }
    }
    model.dispose()
  })

  it('computes what texts share once, and keeps a long beginning', () => {
    const all = texts(40)
    const positions = all.reduce((sum, { input }) => sum + input.length, 0)
    const passes = planTrees(all, 30)
    const computed = passes.reduce((sum, { tree }) => sum + tree.tokens_N.length, 0)
    expect(passes.some(({ prefix }) => prefix.length === 40)).toBe(true)
    expect(computed).toBeLessThan(positions / 4)
    expect(passes.flatMap((pass) => pass.texts.map((one) => one.text)).sort((a, b) => a - b)).toEqual([
      ...all.keys(),
    ])
  })

  it('does not depend on the order of the texts', () => {
    const all = texts(40)
    const passesOf = (list: readonly ScoredText[]) =>
      planTrees(list, 30).map(({ prefix, tree }) => [[...prefix], [...tree.tokens_N], [...tree.parent_N]])
    expect(passesOf([...all].reverse())).toEqual(passesOf(all))
  })

  it('is shared out over ranks, each of which gets what one finds alone', async () => {
    const model = createTinyLlama({ maxPositionEmbeddings: 64 })
    const all = texts(40)
    const alone = await scoreTexts(model, all, { maxPositions: 1 })
    const ranks = ranksOfOneProcess(3)
    const found = await Promise.all(
      ranks.map((own) => scoreTexts(model, all, { maxPositions: 1, ranks: own })),
    )
    expect(found).toEqual([alone, alone, alone])
  })

  it('ends on all ranks where it fails on one, which is named', async () => {
    const [good, bad] = [createTinyLlama({}), createTinyLlama({})]
    noGrad(() => scope(() => void mul_(bad.headWeight, Number.NaN)))
    const ranks = ranksOfOneProcess(2)
    const ends = await Promise.allSettled(
      ranks.map((own, rank) =>
        scoreTexts(rank === 1 ? bad : good, texts(0), { maxPositions: 1, ranks: own }),
      ),
    )
    const messages = ends.map((end) => (end.status === 'rejected' ? (end.reason as Error).message : ''))
    expect(messages[1]).toMatch(/^the model gives no finite logits/)
    expect(messages[0]).toBe(`rank 1: ${messages[1]}`)
  })
})
