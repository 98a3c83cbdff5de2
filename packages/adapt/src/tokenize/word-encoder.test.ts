import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NativeTokenizer } from './native-tokenizer.js'
import { type TinyTokenizerJson, writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { readTokenizerFiles } from './tokenizer-files.js'
import { WordEncoder } from './word-encoder.js'
import { hashUnit } from './word-table.js'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-words-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Edit = (json: TinyTokenizerJson) => unknown

function open(edit: Edit = (json) => json) {
  const files = readTokenizerFiles(writeTinyTokenizer(folder, { edit }))
  const native = new NativeTokenizer({
    json: files.json,
    addedTokens: [...files.addedTokens],
    file: 'tokenizer.json',
  })
  return { files, native, words: new WordEncoder(files.wordRules!, files.addedTokens.keys()) }
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
const split = (regex: string, how: object = { behavior: 'Isolated', invert: false }): Edit => {
  return (json) => ({
    ...json,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: regex }, ...how },
        { ...byteLevel, use_regex: false },
      ],
    },
  })
}
const before = (step: object): Edit => {
  return (json) => ({ ...json, pre_tokenizer: { type: 'Sequence', pretokenizers: [step, byteLevel] } })
}
const composing = (edit: Edit): Edit => {
  return (json) => ({ ...(edit(json) as object), normalizer: { type: 'NFC' } })
}
const strippingTokens: Edit = (json) => {
  for (const token of json.added_tokens)
    Object.assign(token, { lstrip: true, rstrip: true, single_word: true })
  return json
}
/** Few merges cross a border that is wrong, but then a text has more pieces. */
const onePerPiece = (json: TinyTokenizerJson): TinyTokenizerJson => {
  return { ...json, model: { type: 'WordLevel', vocab: json.model.vocab, unk_token: 'a', merges: [] } }
}

// As the files of these tokenizers have them.
const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN_2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const O200K =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** A vocabulary of SentencePiece: the blank for the space, merges of the blank with what follows, and of much else. */
const blanks = (json: TinyTokenizerJson, crossing = false): TinyTokenizerJson => {
  const rename = (token: string) => token.replaceAll('\u0120', '\u2581')
  const tokens = Object.keys(json.model.vocab).map(rename)
  const merges = (json.model.merges as string[]).map(rename)
  const parts = [
    '\u2581',
    'a',
    'Z',
    '0',
    '7',
    '.',
    '\u00e9',
    '\u2581\u2581',
    ...(crossing ? ['b\u2581'] : []),
  ]
  if (crossing) merges.push('b \u2581')
  for (const first of parts) {
    for (const second of parts)
      if (first.endsWith('\u2581') || !second.includes('\u2581')) merges.push(`${first} ${second}`)
  }
  const all = [...new Set([...tokens, ...merges.map((merge) => merge.replace(' ', ''))])]
  const added_tokens = json.added_tokens.map((token, i) => ({ ...token, id: all.length + i }))
  const vocab = Object.fromEntries(all.map((token, id) => [token, id]))
  return { ...json, added_tokens, model: { ...json.model, vocab, merges, unk_token: 'a', fuse_unk: true } }
}
const space = { String: ' ' }
const replacing = { type: 'Replace', pattern: space, content: '\u2581' }
const prepending = { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, replacing] }
const metaspace = (more: object) => ({ type: 'Metaspace', replacement: '\u2581', ...more })
const blankParts = (normalizer: object | null, pre_tokenizer: object | null): Edit => {
  return (json) => ({ ...blanks(json), normalizer, pre_tokenizer })
}
const normalizedTokens = (edit: Edit): Edit => {
  return (json) => {
    const edited = edit(json) as TinyTokenizerJson
    return { ...edited, added_tokens: edited.added_tokens.map((token) => ({ ...token, normalized: true })) }
  }
}

const BLANKS: readonly [string, Edit][] = [
  ['a blank before the text, as Llama 2', blankParts(prepending, null)],
  ['the same and tokens that are found after it', normalizedTokens(blankParts(prepending, null))],
  [
    'blanks for spaces, as Gemma',
    blankParts(replacing, { type: 'Split', pattern: space, behavior: 'MergedWithPrevious', invert: false }),
  ],
  [
    'a blank before the first word, as Mistral',
    blankParts(null, metaspace({ prepend_scheme: 'first', split: false })),
  ],
  ['a blank before every part', blankParts(null, metaspace({ prepend_scheme: 'always', split: true }))],
  ['no blank before', blankParts(null, metaspace({ prepend_scheme: 'never', split: true }))],
]

const WITH_BORDERS: readonly [string, Edit][] = [
  ["GPT-2's pattern", (json) => json],
  ['single digits', before({ type: 'Digits', individual_digits: true })],
  ['runs of digits', before({ type: 'Digits', individual_digits: false })],
  ["Llama 3's pattern", split(LLAMA_3)],
  ["Llama 3's pattern, all but its matches removed", split(LLAMA_3, { behavior: 'Removed', invert: true })],
  ["Qwen 2's pattern after NFC", composing(split(QWEN_2))],
  ["o200k's pattern", split(O200K)],
  ['added tokens that take the white space beside them', strippingTokens],
]

/** What patterns and normalisers tell apart, or take together. */
const ATOMS = [
  ...[
    'a',
    'Z',
    'the',
    ' model',
    'é',
    'ß',
    'ж',
    'İ',
    'ǅ',
    'K',
    '\u00aa',
    '日',
    '😀',
    '\ud800',
    '\udc00',
    '\u0301',
    '\u0338',
  ],
  ...[
    '0',
    '7',
    '123',
    '½',
    '٣',
    '\u2460',
    "'",
    "'s",
    "'LL",
    "'re",
    '’',
    '.',
    '=',
    '/',
    '_',
    '-',
    '<',
    '\u037e',
    '\u0000',
    '\u001c',
  ],
  ...[
    ' ',
    '  ',
    '\n',
    '\r\n',
    '\t',
    '\u000b',
    '\u0085',
    '\u00a0',
    '\u1680',
    '\u180e',
    '\u2003',
    '\u2028',
    '\u3000',
    '\ufeff',
    '\u2581',
  ],
  ...['</s>', '<pad>', '<s'],
]
const texts = fc.array(
  fc.array(fc.constantFrom(...ATOMS), { maxLength: 24 }).map((atoms) => atoms.join('')),
  { minLength: 1, maxLength: 8 },
)

/** Two words that differ and have the same hash: a last unit may change the low half of the hash as it likes. */
function equalHashes(): [string, string] {
  const prefixes = new Map<number, string>()
  for (let number = 1e5; ; number++) {
    const prefix = [...String(number)].map((digit) => 'qrstuvwxyz'[Number(digit)]).join('')
    const hashOf = (word: string) =>
      [...word].reduce((hash, letter) => hashUnit(hash, letter.charCodeAt(0)), 0)
    const other = prefixes.get(hashOf(prefix) >>> 16)
    prefixes.set(hashOf(prefix) >>> 16, prefix)
    if (other === undefined) continue
    const unit = 'a'.charCodeAt(0) ^ hashOf(prefix) ^ hashOf(other)
    if (unit > 0x4e00 && unit < 0x9fff) return [`${other}a`, prefix + String.fromCharCode(unit)]
  }
}

describe('WordEncoder', () => {
  const cases = WITH_BORDERS.flatMap(([name, edit]): [string, Edit][] => [
    [`${name} and merges`, edit],
    [`${name}, a token for each piece`, (json) => onePerPiece(edit(json) as TinyTokenizerJson)],
  ])
  it.each([
    ...cases,
    ...BLANKS,
  ])('gives the ids of the library, known words or not, with %s', async (_, edit) => {
    const { files, native, words } = open(edit)
    expect(files.wordRules).toBeDefined()
    await fc.assert(
      fc.asyncProperty(texts, async (some) => {
        const expected = await native.encodeBatch(some)
        for (let time = 0; time < 2; time++) {
          expect(await words.encodeBatch(some, (all) => native.encodeBatch(all))).toEqual(expected)
        }
      }),
      { numRuns: 300 },
    )
  })

  const WITHOUT: readonly [string, Edit][] = [
    ['a space before every text', (j) => ({ ...j, pre_tokenizer: { ...byteLevel, add_prefix_space: true } })],
    ['no pattern', (j) => ({ ...j, pre_tokenizer: { ...byteLevel, use_regex: false } })],
    ['a pattern of its own', split('\\s+|\\S+ ?')],
    ['a pattern between whose matches it splits', split(LLAMA_3, { behavior: 'Isolated', invert: true })],
    ['pieces that join the next', split(LLAMA_3, { behavior: 'MergedWithNext', invert: false })],
    ['another step before', before({ type: 'Whitespace' })],
    ['a normaliser', (j) => ({ ...j, normalizer: { type: 'Lowercase' } })],
    [
      'tokens that cross from a word to a blank',
      (j) => ({ ...blanks(j, true), normalizer: replacing, pre_tokenizer: null }),
    ],
    ['another replacement', blankParts({ ...replacing, pattern: { String: 'a' } }, null)],
    ['another pattern', blankParts({ ...replacing, pattern: { Regex: ' ' } }, null)],
    ['more normalisers', blankParts({ type: 'Sequence', normalizers: [replacing, { type: 'NFC' }] }, null)],
    [
      'a split that is left',
      blankParts(replacing, { type: 'Split', pattern: { String: 'a' }, behavior: 'Isolated', invert: false }),
    ],
    [
      'a mark at the end of a word',
      (j) => {
        const json = blanks(j)
        return {
          ...json,
          normalizer: replacing,
          pre_tokenizer: null,
          model: { ...json.model, end_of_word_suffix: '.' },
        }
      },
    ],
    ['no token for a blank', (j) => ({ ...j, normalizer: replacing, pre_tokenizer: null })],
    [
      'added tokens with a space in normalised text',
      (j) => {
        const json = blanks(j)
        Object.assign(json.added_tokens[0]!, { content: 's s', normalized: true })
        return { ...json, normalizer: replacing, pre_tokenizer: null }
      },
    ],
    ['no pre-tokenizer', (j) => ({ ...j, pre_tokenizer: null })],
    [
      'added tokens that are found after NFC',
      composing((j) => Object.assign(j.added_tokens[0]!, { normalized: true }) && j),
    ],
  ]
  it.each(WITHOUT)('is not for tokenizers with %s', (_, edit) => {
    expect(readTokenizerFiles(writeTinyTokenizer(folder, { edit })).wordRules).toBeUndefined()
  })

  it('asks for a word once', async () => {
    const { native, words } = open()
    const asked: string[] = []
    const ask = async (some: readonly string[]) => {
      asked.push(...some)
      return await native.encodeBatch(some)
    }
    await words.encodeBatch(['the model reads', 'the model, the model'], ask)
    await words.encodeBatch(['so reads the model'], ask)
    expect(asked).toEqual(['the', ' model', ' reads', ',', ' the', 'so'])
    await words.encodeBatch(['the model</s>'], ask)
    expect(asked.at(-1)).toBe('the model</s>')
  })

  it('asks for a text of words that come once as a whole, when it knows many others', async () => {
    const { words } = open()
    const asked: string[] = []
    // Ids that tell what they are of.
    const ask = async (some: readonly string[]) => {
      asked.push(...some)
      return some.map((text) => Int32Array.of(text.length))
    }
    const numbered = (first: number, count: number) =>
      Array.from({ length: count }, (_, i) => `x-${first + i}`).join(' ')
    await words.encodeBatch([numbered(1e5, 20_000)], ask)
    asked.length = 0
    const text = numbered(5e5, 20)
    const known = numbered(1e5 + 100, 20)
    const [whole, parts] = await words.encodeBatch([text, `${known} new`], ask)
    expect(asked).toEqual([text, ' new'])
    expect(whole).toEqual(Int32Array.of(text.length))
    expect(parts!.length).toBeGreaterThan(20)
  })

  it('tells words of one hash apart', async () => {
    const { native, words } = open()
    const [one, other] = equalHashes()
    const encode = (text: string) => words.encodeBatch([text], (all) => native.encodeBatch(all))
    for (const text of [one, other, `${one} ${other}`])
      expect(await encode(text)).toEqual(await native.encodeBatch([text]))
  })

  it('forgets what is too much and stays right, also for a call that waits meanwhile', async () => {
    const words = new WordEncoder(open().files.wordRules!, [])
    let numAsked = 0
    const ask = async (some: readonly string[]) => {
      numAsked += some.length
      return some.map((text) => Int32Array.of(Number(text.replace(' (', ''))))
    }
    const text = (first: number, count: number) =>
      Array.from({ length: count }, (_, i) => ` (${first + i}`).join('')
    const ids = (first: number, count: number) => Int32Array.from({ length: count }, (_, i) => first + i)
    const encode = (first: number, count: number) => words.encodeBatch([text(first, count)], ask)
    await encode(1e6, 100)
    let goOn = () => {}
    const turn = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const late = words.encodeBatch([text(1e6, 101)], async (some) => {
      await turn
      return await ask(some)
    })
    expect(await encode(2e6, 200_000)).toEqual([ids(2e6, 200_000)])
    expect(await encode(3e6, 100)).toEqual([ids(3e6, 100)])
    goOn()
    expect(await late).toEqual([ids(1e6, 101)])
    numAsked = 0
    expect(await encode(1e6, 50)).toEqual([ids(1e6, 50)])
    expect(numAsked).toBe(50)
  })
})
