import { isObject } from '../dataset/index.js'
import type { AddedToken } from './added-tokens.js'

type JsonObject = Readonly<Record<string, unknown>>

// Patterns of Llama 3 and its kin, Qwen 2, and o200k (one line for each alternative of the last).
const LLAMA_3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN_2 = LLAMA_3.replace('\\p{N}{1,3}', '\\p{N}')
const O200K = [
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  '\\p{N}{1,3}',
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*',
  '\\s*[\\r\\n]+',
  '\\s+(?!\\S)',
  '\\s+',
].join('|')
const KNOWN_PATTERNS: readonly unknown[] = [LLAMA_3, QWEN_2, O200K]

/** How a text falls into words whose ids, joined, are its ids. */
export interface WordRules {
  /** 1 at `8 * kind + next kind` ({@link KINDS}) where a word ends and the next begins. */
  readonly borders: Uint8Array
  /** Whether the library puts a space before what it is given, so that a word after the first is asked for without its own. */
  readonly dropsSpace: boolean
}

/** In place of a space, in the vocabularies of SentencePiece. */
const BLANK = '\u2581'

/**
 * The rules of a tokenizer, or undefined where words cannot be told. They hold for texts without added tokens. There are two kinds:
 *
 * - Byte-level pre-tokenizers by GPT-2's pattern and the ones above. Each matches from left to right, looks behind at nothing, and
 *   looks ahead only from white space; none of their pieces spans a border, and no model sees two pieces at once. NFC changes nothing across
 *   a border, for what stands right of it is ASCII and begins anew.
 * - BPE over whole texts as SentencePiece has it, when no token of the vocabulary has a space behind something else: merges never cross
 *   the border before a space then.
 *
 * @param config  Parsed tokenizer.json. @param added  Its added tokens with those of the other files.
 */
export function wordRules(config: JsonObject, added: readonly AddedToken[]): WordRules | undefined {
  const normalizers = stepsOf(config.normalizer, 'normalizers')
  const steps = stepsOf(config.pre_tokenizer, 'pretokenizers')
  if (normalizers === undefined || steps === undefined) return undefined
  const normalized = added.filter((token) => token.normalized)
  if (isByteLevel(steps)) {
    if (normalizers.length === 0) return { borders: BYTE_LEVEL_BORDERS, dropsSpace: false }
    // A token may stand in the composed text and not in the text.
    const isComposing = normalizers.length === 1 && normalizers[0]!.type === 'NFC'
    return isComposing && normalized.length === 0
      ? { borders: BYTE_LEVEL_BORDERS, dropsSpace: false }
      : undefined
  }
  const isPlain = normalized.every(({ content }) => !content.includes(' ') && !content.includes(BLANK))
  if (!isPlain || !mergesWithinWords(config.model)) return undefined
  const [first, ...others] = normalizers
  if (first === undefined) {
    const isMetaspace =
      steps.length === 1 && steps[0]!.type === 'Metaspace' && steps[0]!.replacement === BLANK
    return isMetaspace ? { borders: BLANK_BORDERS, dropsSpace: false } : undefined
  }
  const dropsSpace = first.type === 'Prepend' && first.prepend === BLANK
  const replaces = dropsSpace ? others : normalizers
  // After it there is no space to split at.
  const splitsNowhere = steps.every(({ type, pattern }) => type === 'Split' && isSpace(pattern))
  const isBlanked = replaces.length === 1 && replaces[0]!.type === 'Replace' && replaces[0]!.content === BLANK
  if (!splitsNowhere || !isBlanked || !isSpace(replaces[0]!.pattern)) return undefined
  return { borders: BLANK_BORDERS, dropsSpace }
}

function isByteLevel(steps: readonly JsonObject[]): boolean {
  const last = steps.at(-1)
  if (last?.type !== 'ByteLevel' || last.add_prefix_space !== false) return false
  const before = steps.slice(0, -1)
  // A file that says nothing has GPT-2's pattern.
  if (last.use_regex !== false) return before.every(({ type }) => type === 'Digits')
  return before.length === 1 && isKnownSplit(before[0]!)
}

function isSpace(pattern: unknown): boolean {
  return isObject(pattern) && pattern.String === ' '
}

function mergesWithinWords(model: unknown): boolean {
  if (!isObject(model) || model.type !== 'BPE' || !isObject(model.vocab)) return false
  if (model.continuing_subword_prefix || model.end_of_word_suffix) return false
  // One that the vocabulary lacks may become one unknown token with what is before it.
  if (!Object.hasOwn(model.vocab, BLANK)) return false
  const crossing = new RegExp(`[^${BLANK}]${BLANK}`)
  return !Object.keys(model.vocab).some((token) => crossing.test(token))
}

/** The steps of a part of the tokenizer, none without it; undefined for one that is not understood. */
function stepsOf(part: unknown, key: string): readonly JsonObject[] | undefined {
  if (part === null || part === undefined) return []
  if (!isObject(part)) return undefined
  const steps = part.type === 'Sequence' ? part[key] : [part]
  return Array.isArray(steps) && steps.every(isObject) ? steps : undefined
}

function isKnownSplit({ type, pattern, behavior, invert }: JsonObject): boolean {
  const regex = isObject(pattern) ? pattern.Regex : undefined
  // The patterns match every character, so that what is between their matches is nothing.
  const keepsMatches = invert === true ? behavior === 'Removed' : behavior === 'Isolated'
  return type === 'Split' && keepsMatches && KNOWN_PATTERNS.includes(regex)
}

/** What a UTF-16 unit is to a border. Of those that are not ASCII, only what is no white space for sure is SOLID. */
const KIND = { unsure: 0, letter: 1, digit: 2, mark: 3, space: 4, lineOrTab: 5, solid: 6 } as const
const NUM_KINDS = 8

/** Kinds of the UTF-16 units, by unit. */
export const KINDS: Uint8Array = makeKinds()

/**
 * Before a single space; where letters or digits end but for an apostrophe. Not after punctuation: some patterns join it to what
 * follows.
 */
const BYTE_LEVEL_BORDERS = makeBorders([
  [['letter', 'digit', 'mark', 'solid'], 'space'],
  [['letter', 'digit'], 'lineOrTab'],
  [['letter', 'digit'], 'mark'],
  [['letter'], 'digit'],
  [['digit'], 'letter'],
])
const BLANK_BORDERS = makeBorders([[['letter', 'digit', 'mark', 'solid'], 'space']])

function makeKinds(): Uint8Array {
  const kinds = new Uint8Array(1 << 16)
  const set = (first: number, last: number, kind: number) => kinds.fill(kind, first, last + 1)
  set(0x21, 0x7e, KIND.mark)
  set(0x30, 0x39, KIND.digit)
  set(0x41, 0x5a, KIND.letter)
  set(0x61, 0x7a, KIND.letter)
  set(0x20, 0x20, KIND.space)
  for (const code of [0x09, 0x0a, 0x0d]) kinds[code] = KIND.lineOrTab
  // It may begin a contraction.
  set(0x27, 0x27, KIND.solid)
  // Between these lie the white spaces of Unicode, of which libraries know different ones.
  set(0xa1, 0x167f, KIND.solid)
  set(0x3001, 0xfefe, KIND.solid)
  return kinds
}

type Kind = keyof typeof KIND

function makeBorders(pairs: readonly (readonly [before: readonly Kind[], after: Kind])[]): Uint8Array {
  const borders = new Uint8Array(NUM_KINDS * NUM_KINDS)
  for (const [before, after] of pairs)
    for (const kind of before) borders[NUM_KINDS * KIND[kind] + KIND[after]] = 1
  return borders
}
