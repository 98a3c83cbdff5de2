import { isObject } from '../dataset/index.js'
import type { AddedToken } from './added-tokens.js'

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

/**
 * Whether the ids of a text without added tokens are those of its words, joined, wherever {@link BORDERS} puts a border.
 *
 * So it is for byte-level pre-tokenizers by GPT-2's pattern and the ones above. Each matches from left to right, looks
 * behind at nothing, and looks ahead only from white space; none of their pieces spans a border, and no model sees two pieces
 * at once. NFC changes nothing across a border, for what stands right of it is ASCII and begins anew.
 *
 * @param config  Parsed tokenizer.json. @param added  Its added tokens with those of the other files.
 */
export function hasWordBorders(
  config: Readonly<Record<string, unknown>>,
  added: readonly AddedToken[],
): boolean {
  const { normalizer = null } = config
  const isComposing = isObject(normalizer) && normalizer.type === 'NFC'
  if (normalizer !== null && !isComposing) return false
  // Such a token may stand in the normalised text and not in the text.
  if (isComposing && added.some(({ normalized }) => normalized)) return false
  const steps = stepsOf(config.pre_tokenizer)
  const last = steps.at(-1)
  if (last?.type !== 'ByteLevel' || last.add_prefix_space !== false) return false
  const before = steps.slice(0, -1)
  // A file that says nothing has GPT-2's pattern.
  if (last.use_regex !== false) return before.every(({ type }) => type === 'Digits')
  return before.length === 1 && isKnownSplit(before[0]!)
}

function stepsOf(preTokenizer: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!isObject(preTokenizer)) return []
  const steps = preTokenizer.type === 'Sequence' ? preTokenizer.pretokenizers : [preTokenizer]
  return Array.isArray(steps) && steps.every(isObject) ? steps : []
}

function isKnownSplit({ type, pattern, behavior, invert }: Readonly<Record<string, unknown>>): boolean {
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
 * 1 at `NUM_KINDS * kind + next kind` where a word ends and the next begins. Before a single space; where letters or digits end but
 * for an apostrophe. Not after punctuation: some patterns join it to what follows.
 */
export const BORDERS: Uint8Array = makeBorders()

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

function makeBorders(): Uint8Array {
  const { letter, digit, mark, space, lineOrTab, solid } = KIND
  const borders = new Uint8Array(NUM_KINDS * NUM_KINDS)
  const set = (before: readonly number[], after: number) => {
    for (const kind of before) borders[NUM_KINDS * kind + after] = 1
  }
  set([letter, digit, mark, solid], space)
  set([letter, digit], lineOrTab)
  set([letter, digit], mark)
  set([letter], digit)
  set([digit], letter)
  return borders
}
