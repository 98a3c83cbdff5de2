import { afterAll, describe, expect, it } from 'vitest'
import { createTinyLlama, createTokens, TINY_CONFIG } from '../model/tiny-llama.test.fixture.js'
import { type GeneratedText, generateTexts, planBatches, type TextPrompt } from './generate-texts.js'
import { generateTokens } from './generate-tokens.js'

const model = createTinyLlama()
afterAll(() => model.dispose())
const draw = createTokens(21, TINY_CONFIG.vocabSize)
/** A letter a token, so that a stop text may lie across several. */
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.'
const tokenizer = {
  decode: (ids: ArrayLike<number>) => Promise.resolve(Array.from(ids, (id) => LETTERS[id]).join('')),
}

const textOf = (tokens: readonly number[], maxNewTokens: number) =>
  [...generateTokens(model, tokens, { maxNewTokens })].map((id) => LETTERS[id]).join('')

async function write(prompts: readonly TextPrompt[], maxCachedPositions: number) {
  const found: GeneratedText[] = []
  await generateTexts(model, tokenizer, prompts, {
    maxCachedPositions,
    onText(index, text) {
      expect(found[index]).toBeUndefined()
      found[index] = text
    },
  })
  return found
}

describe('generateTexts', () => {
  const tokens = [4, 2, 9, 1, 6, 6, 3].map((length) => draw(length))
  const whole = tokens.map((one) => textOf(one, 20))
  /** Stop texts of two letters where the text has them, in the middle of a look, at its end and across two. */
  const prompts = tokens.map((one, i) => ({
    tokens: one,
    maxNewTokens: 20,
    until: [[], [whole[1]!.slice(3, 5)], ['nowhere'], [whole[3]!.slice(7, 9)]][i % 4],
  }))

  it.each([
    1, 60, 1000,
  ])('stops each where its own stop text is, with %i positions at once', async (positions) => {
    const found = await write(prompts, positions)
    for (const [i, { text, ids, reason }] of found.entries()) {
      const stop = prompts[i]!.until?.find((one) => whole[i]!.includes(one))
      const end = stop === undefined ? 20 : whole[i]!.indexOf(stop)
      expect(text).toBe(whole[i]!.slice(0, end))
      expect(reason).toBe(stop === undefined ? 'length' : 'stop')
      expect(ids).toHaveLength(stop === undefined ? 20 : end + stop.length)
    }
    expect(found.filter(({ reason }) => reason === 'stop').length).toBeGreaterThanOrEqual(2)
  })

  it('puts texts of one length together, as many as fit', () => {
    const of = (length: number) => ({ tokens: draw(length), maxNewTokens: 5 })
    const lengths = [3, 10, 4, 10, 9]
    expect(planBatches(lengths.map(of), { maxCachedPositions: 30 })).toEqual([[1, 3], [4, 2], [0]])
    expect(planBatches(lengths.map(of), { maxCachedPositions: 1000, maxRows: 3 })).toEqual([
      [1, 3, 4],
      [2, 0],
    ])
    expect(planBatches(lengths.map(of), { maxCachedPositions: 1 })).toHaveLength(5)
  })

  it('ends with what is thrown between two tokens, and frees what it held', async () => {
    let steps = 0
    const onStep = () => {
      if (++steps === 3) throw new Error('enough')
    }
    await expect(
      generateTexts(model, tokenizer, prompts, { maxCachedPositions: 1000, onStep, onText: () => {} }),
    ).rejects.toThrow('enough')
    expect(steps).toBe(3)
  })
})
