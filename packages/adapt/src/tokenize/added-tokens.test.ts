import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { loadTokenizer, type Tokenizer } from './tokenizer.js'

// The vocabulary has the ids 0 to 303, tokenizer.json adds <s>, </s> and <pad>: the next free id is 307.
const TOKENS = { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>' }
const token = (content: string, flags: object = {}) => ({
  content,
  ...{ single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags },
})

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-added-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function load(config: object, others: Readonly<Record<string, object>> = {}): Tokenizer {
  rmSync(folder, { recursive: true })
  writeTinyTokenizer(folder, { config: config as Record<string, unknown> })
  for (const [name, json] of Object.entries(others))
    writeFileSync(path.join(folder, `${name}.json`), JSON.stringify(json))
  return loadTokenizer(folder)
}

const idsOf = async (tokenizer: Tokenizer, text: string) => [...(await tokenizer.encodeBatch([text]))[0]!]

function errorOf(action: () => unknown): AdaptError {
  try {
    action()
  } catch (error) {
    if (error instanceof AdaptError) return error
    throw error
  }
  throw new Error('expected an error')
}

describe('tokens that another file than tokenizer.json names', () => {
  const decoder = { '307': token('<go>'), '308': token('<stop>') }
  it.each([
    ['added_tokens_decoder', { ...TOKENS, added_tokens_decoder: decoder }, {}],
    ['added_tokens.json', TOKENS, { added_tokens: { '<stop>': 308, '<go>': 307 } }],
    ['additional_special_tokens', { ...TOKENS, additional_special_tokens: ['<go>', '<stop>'] }, {}],
    ['extra_special_tokens', { ...TOKENS, extra_special_tokens: ['<go>', token('<stop>')] }, {}],
    ['extra_special_tokens by name', { ...TOKENS, extra_special_tokens: { a: '<go>', b: '<stop>' } }, {}],
    ['a key of its own', { ...TOKENS, go_token: '<go>', stop_token: '<stop>' }, {}],
    [
      'special_tokens_map.json',
      TOKENS,
      { special_tokens_map: { unk_token: token('<go>'), additional_special_tokens: ['<stop>'] } },
    ],
    ['eos_token itself', { ...TOKENS, unk_token: '<go>', mask_token: token('<stop>') }, {}],
  ])('are one token each: %s', async (_where, config, others) => {
    const tokenizer = load(config, others)
    expect(tokenizer.vocabSize).toBe(309)
    expect(await idsOf(tokenizer, '<go>a<stop>')).toEqual([307, ...(await idsOf(tokenizer, 'a')), 308])
    expect(tokenizer.hash).not.toBe(load(TOKENS).hash)
  })

  it('keep the id that they have in the vocabulary', async () => {
    const [the] = await idsOf(load(TOKENS), 'the')
    const tokenizer = load({ ...TOKENS, additional_special_tokens: ['the'] })
    expect(tokenizer.vocabSize).toBe(307)
    expect(await idsOf(tokenizer, 'bathed')).toContain(the)
  })

  it('have the flags of the last file that describes them', async () => {
    const plain = await idsOf(load(TOKENS), ' a </s>')
    const stripped = load({ ...TOKENS, added_tokens_decoder: { '305': token('</s>', { lstrip: true }) } })
    expect(await idsOf(stripped, ' a </s>')).toEqual(plain.filter((_, i) => i !== plain.length - 2))
  })

  it('are read as transformers does where two files name other special tokens', () => {
    const map = { special_tokens_map: { eos_token: '<pad>' } }
    expect(load(TOKENS, map).eosId).toBe(306)
    expect(load({ ...TOKENS, added_tokens_decoder: {} }, map).eosId).toBe(305)
    expect(load(TOKENS, map).chat.specialTokens).toEqual({ ...TOKENS, eos_token: '<pad>' })
  })

  it('give templates the names that extra_special_tokens has for them, and those of special_tokens_map.json', () => {
    const extra_special_tokens = { go_token: '<go>' }
    const config = { ...TOKENS, extra_special_tokens, image_token: '<image>' }
    const map = { special_tokens_map: { image_token: '<other>', stop_token: '<stop>' } }
    expect(load(config, map).chat.specialTokens).toEqual({
      ...TOKENS,
      go_token: '<go>',
      image_token: '<image>',
      stop_token: '<stop>',
    })
  })

  it.each([
    ['an empty list by the newer key', { extra_special_tokens: [] }],
    ['an empty list', { additional_special_tokens: [] }],
    ['null', { additional_special_tokens: null }],
  ])('of an older list in special_tokens_map.json do not count beside %s', (_what, own) => {
    const map = { special_tokens_map: { additional_special_tokens: ['<go>'] } }
    expect(load(TOKENS, map).vocabSize).toBe(308)
    expect(load({ ...TOKENS, ...own }, map).vocabSize).toBe(307)
  })

  it('of an older list count beside names by the newer key', () => {
    const extra_special_tokens = { stop_token: '<stop>' }
    const tokenizer = load({ ...TOKENS, extra_special_tokens, additional_special_tokens: ['<go>'] })
    expect(tokenizer.vocabSize).toBe(309)
  })

  it('keep the flags of tokenizer.json where added_tokens.json has them again', () => {
    const config = { bos_token: '<s>', eos_token: '</s>' }
    expect(load(config, { added_tokens: { '<pad>': 306 } }).hash).toBe(load(config).hash)
  })

  it('are new where a special token is unknown', () => {
    expect(load({ ...TOKENS, eos_token: '<end>' })).toMatchObject({ eosId: 307, vocabSize: 308 })
  })

  it.each([
    [
      'an id behind a gap',
      { added_tokens_decoder: { '400': token('<go>') } },
      {},
      /"<go>": expected id 400.*307/,
    ],
    ['the id of another token', { added_tokens_decoder: { '3': token('<go>') } }, {}, /expected id 3/],
    ['another id than tokenizer.json', { added_tokens_decoder: { '307': token('</s>') } }, {}, /305/],
    [
      'another id in added_tokens.json',
      {},
      { added_tokens: { '<go>': 309 } },
      /added_tokens\.json.*309.*307/,
    ],
    ['an id that is no number', { added_tokens_decoder: { x: token('<go>') } }, {}, /received "x"/],
    ['no content', { added_tokens_decoder: { '307': {} } }, {}, /received "307"/],
    ['no object of tokens', { added_tokens_decoder: [1] }, {}, /expected a JSON object/],
    ['an id in added_tokens.json that is text', {}, { added_tokens: { '<go>': '307' } }, /integer id/],
    ['special tokens that are to be split', { split_special_tokens: true }, {}, /split_special_tokens/],
  ])('are refused by name with %s', (_why, config, others, message) => {
    const error = errorOf(() => load({ ...TOKENS, ...config }, others))
    expect([error.code, error.exitCode]).toEqual(['BAD_TOKENIZER', 7])
    expect(error.message).toMatch(message)
  })
})
