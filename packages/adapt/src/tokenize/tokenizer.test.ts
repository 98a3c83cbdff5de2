import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import {
  type TinyTokenizerJson,
  type TinyTokenizerOptions,
  writeTinyTokenizer,
} from './tiny-tokenizer.test.fixture.js'
import { assertTokenizerFits, loadTokenizer, type Tokenizer } from './tokenizer.js'
import { patternProblem } from './tokenizer-patterns.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-tokenizer-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const load = (options?: TinyTokenizerOptions): Tokenizer => loadTokenizer(writeTinyTokenizer(folder, options))

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return (error as AdaptError).code
  }
  throw new Error('expected an error')
}

describe('loadTokenizer', () => {
  it('gives the sizes and special ids of the files', () => {
    const tokenizer = load()
    expect(tokenizer).toMatchObject({ vocabSize: 307, bosId: 304, eosId: 305, padId: 306, startId: 304 })
    expect(tokenizer.hash).toMatch(/^[0-9a-f]{64}$/)
  })

  it('starts samples with eos without a bos token or with add_bos_token: false', () => {
    expect(load({ config: { bos_token: null, eos_token: '</s>' } })).toMatchObject({ startId: 305 })
    expect(load({ config: { bos_token: '<s>', eos_token: '</s>', add_bos_token: false } }).startId).toBe(305)
    expect(load({ config: { bos_token: '<s>', eos_token: '</s>', add_bos_token: true } }).startId).toBe(304)
  })

  it('falls back to special_tokens_map.json', () => {
    writeTinyTokenizer(folder)
    rmSync(path.join(folder, 'tokenizer_config.json'))
    writeFileSync(path.join(folder, 'special_tokens_map.json'), '{"eos_token":{"content":"</s>"}}')
    const tokenizer = loadTokenizer(folder)
    expect([tokenizer.eosId, tokenizer.bosId, tokenizer.padId]).toEqual([305, undefined, undefined])
  })

  it('encodes without special tokens of its own and decodes to the same text', async () => {
    const tokenizer = load()
    const texts = ['the model', '', ' leading', 'é 😀 日本\n\n\ttabs', 'a</s>b', '\u0000']
    const ids = await tokenizer.encodeBatch(texts)
    expect(ids[0]).toBeInstanceOf(Int32Array)
    expect(ids[0]!.length).toBeLessThan('the model'.length / 2)
    expect(ids[1]).toHaveLength(0)
    expect(await Promise.all(ids.map((i) => tokenizer.decode(i)))).toEqual(texts)
    expect([...ids[4]!]).toContain(tokenizer.eosId)
    expect(await tokenizer.decode(ids[4]!, { skipSpecialTokens: true })).toBe('ab')
  })

  it('has another hash when ids or special tokens change, and the same otherwise', () => {
    const { hash } = load()
    expect(load().hash).toBe(hash)
    expect(load({ config: { eos_token: '<pad>' } }).hash).not.toBe(hash)
    const swap = (json: TinyTokenizerJson): unknown => {
      const { vocab } = json.model
      ;[vocab.a, vocab.b] = [vocab.b!, vocab.a!]
      return json
    }
    expect(load({ edit: swap }).hash).not.toBe(hash)
  })

  it('tokenises the same text the same way when the file asks for dropout, truncation and padding', async () => {
    const text = 'the data shapes the model that the trainer weighs '.repeat(20)
    const [plain] = await load().encodeBatch([text])
    const tokenizer = load({
      edit: (json) => ({
        ...json,
        truncation: { direction: 'Right', max_length: 4, strategy: 'LongestFirst', stride: 0 },
        padding: {
          strategy: { Fixed: 900 },
          direction: 'Right',
          pad_id: 306,
          pad_type_id: 0,
          pad_token: '<pad>',
        },
        model: { ...json.model, dropout: 0.5 },
      }),
    })
    expect(await tokenizer.encodeBatch([text, 'x'])).toEqual([plain, (await load().encodeBatch(['x']))[0]])
  })

  it('says what is missing', () => {
    expect(codeOf(() => loadTokenizer(path.join(folder, 'none')))).toBe('FILE_NOT_FOUND')
    expect(codeOf(() => load({ config: {} }))).toBe('TOKENIZER_NO_EOS')
  })

  const edits: [string, (json: TinyTokenizerJson) => unknown][] = [
    ['two tokens with one id', (j) => Object.assign(j.model.vocab, { a: j.model.vocab.b }) && j],
    ['a fractional id', (j) => Object.assign(j.model.vocab, { a: 0.5 }) && j],
    ['a negative id', (j) => Object.assign(j.model.vocab, { a: -1 }) && j],
    ['an id far beyond the others', (j) => Object.assign(j.model.vocab, { a: 2_000_000_000 }) && j],
    [
      'an added token that moves a known one',
      (j) => Object.assign(j.added_tokens[0]!, { content: 'a' }) && j,
    ],
    ['no vocabulary', (j) => Object.assign(j.model, { vocab: null }) && j],
    ['no model', ({ model: _, ...j }) => j],
    ['deep nesting', (j) => ({ ...j, x: JSON.parse('['.repeat(70) + ']'.repeat(70)) })],
  ]
  it.each(edits)('refuses %s', (_, edit) => {
    expect(codeOf(() => load({ edit }))).toBe('BAD_TOKENIZER')
  })

  const nativeEdits: [string, (json: TinyTokenizerJson) => unknown][] = [
    ['an added token behind a gap', (j) => Object.assign(j.added_tokens[2]!, { id: 400 }) && j],
    ['a merge of unknown tokens', (j) => j.model.merges.push('q zz') && j],
    ['an unknown model', (j) => Object.assign(j.model, { type: 'Oracle' }) && j],
    ['an unknown pre-tokenizer', (j) => ({ ...j, pre_tokenizer: { type: 'Script', code: 'x' } })],
  ]
  it.each(nativeEdits)('refuses %s with the first call', async (_, edit) => {
    const bad = { code: 'BAD_TOKENIZER', exitCode: 7 }
    await expect(load({ edit }).encodeBatch(['a'])).rejects.toMatchObject(bad)
    await expect(load({ edit }).decode([1])).rejects.toMatchObject(bad)
  })

  it('refuses files that are cut', () => {
    writeTinyTokenizer(folder)
    writeFileSync(path.join(folder, 'tokenizer.json'), '{"model": {')
    expect(codeOf(() => loadTokenizer(folder))).toBe('BAD_TOKENIZER')
  })

  it('refuses a pattern that could run for ever', () => {
    const edit = (json: TinyTokenizerJson): unknown => ({
      ...json,
      pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false },
    })
    expect(codeOf(() => load({ edit }))).toBe('TOKENIZER_PATTERN')
  })
})

describe('patternProblem', () => {
  it('accepts the patterns of tokenizers in use', () => {
    const patterns = [
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]",
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}\\p{M}]+(?i:'s|'t)?|\\p{N}{1,3}",
      ' ?[^(\\s|[.,!?…。，、।۔،])]+',
      '\\d{1,3}(?=(?:\\d{3})*\\b)',
      '\\s{2,}',
      '[()|*]+',
      '\\(a+\\)+',
    ]
    expect(patterns.map(patternProblem)).toEqual(patterns.map(() => undefined))
  })

  it('names what can take exponential time', () => {
    const patterns = [
      '(a+)+',
      '(?:a*)*b',
      '(a|a)*b',
      '((a+))+',
      '(?:x(?:a{2,})y){3,}',
      '(a|b){5}',
      'a+*',
      '(a)\\1',
      '\\k<x>',
    ]
    for (const pattern of patterns) {
      expect([pattern, patternProblem(pattern)]).toEqual([pattern, expect.any(String)])
    }
    expect(patternProblem('a'.repeat(5000))).toContain('characters')
  })
})

describe('encodeCompletions', () => {
  it('finds the border between prompt and completion by characters', async () => {
    const tokenizer = load()
    const pairs = [
      { prompt: 'the model', completion: ' reads' },
      { prompt: 'the mo', completion: 'del reads' },
      { prompt: 'é😀日 ', completion: '😀' },
      { prompt: 'a  ', completion: '  b' },
      { prompt: '', completion: 'the' },
      { prompt: 'the', completion: '' },
      { prompt: '\n\n', completion: '\n\n' },
    ]
    const encoded = await tokenizer.encodeCompletions(pairs)
    for (const [i, { prompt, completion }] of pairs.entries()) {
      const { tokens, numPromptTokens } = encoded[i]!
      expect(tokens).toEqual((await tokenizer.encodeBatch([prompt + completion]))[0])
      // Every token of the prompt ends in it; the labels hold the completion and at most one straddling token.
      const before = await tokenizer.decode(tokens.subarray(0, numPromptTokens))
      expect(prompt.startsWith(before)).toBe(true)
      const oneMore = await tokenizer.decode(tokens.subarray(0, numPromptTokens + 1))
      expect(completion === '' || oneMore.length > prompt.length || oneMore.endsWith('\ufffd')).toBe(true)
    }
    expect(encoded.map((e) => e.numPromptTokens)).toEqual([2, 1, 10, 3, 0, 1, 2])
    expect(encoded[1]!.tokens[encoded[1]!.numPromptTokens]).toBe(
      (await tokenizer.encodeBatch([' model']))[0]![0],
    )
  })

  it('counts a token that ends in the white space of the completion to the completion', async () => {
    const tokenizer = load({
      edit: (json) => {
        const space = '\u0120'
        json.model.merges.push(`q ${space}`)
        json.model.vocab[`q${space}`] = 304
        // Added tokens follow the vocabulary.
        const added_tokens = json.added_tokens.map((t) => ({ ...t, id: t.id + 1 }))
        return {
          ...json,
          added_tokens,
          pre_tokenizer: { ...(json.pre_tokenizer as object), use_regex: false },
        }
      },
    })
    const [encoded] = await tokenizer.encodeCompletions([{ prompt: 'zq', completion: ' b' }])
    expect(await tokenizer.decode(encoded!.tokens.subarray(1, 2))).toBe('q ')
    expect(encoded!.numPromptTokens).toBe(1)
  })
})

describe('assertTokenizerFits', () => {
  it('refuses a tokenizer with more ids than the embedding has rows', () => {
    const tokenizer = load()
    expect(() => assertTokenizerFits(tokenizer, 307)).not.toThrow()
    expect(() => assertTokenizerFits(tokenizer, 400)).not.toThrow()
    expect(codeOf(() => assertTokenizerFits(tokenizer, 306))).toBe('TOKENIZER_TOO_LARGE')
  })
})
