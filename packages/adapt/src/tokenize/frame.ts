import { markContext } from './marked-token.js'
import type { Tokenizer } from './tokenizer.js'

/** Special tokens that a document has before anything is added, as bits of `EncodedDocuments.held`. */
export const HELD = {
  /** A text begins with its start token. */
  start: 1,
  /** A text ends with eos. */
  end: 2,
  /** A conversation has bos or eos twice in a row: a message holds what the template writes. */
  twice: 4,
} as const

/** Ids of the tokens that begin and end samples. */
export type SpecialIds = Pick<Tokenizer, 'startId' | 'bosId' | 'eosId'>

/** Whether ids begin with a token that starts a sample. */
export function holdsStart(ids: Int32Array, { startId, bosId }: SpecialIds): boolean {
  return ids.length > 0 && (ids[0] === startId || ids[0] === bosId)
}

/**
 * `[start] tokens [eos]`, without a start or eos that is there already: texts that were rendered before hold them.
 *
 * @param numContext  Tokens of `ids` that are context, as the first of all tokens is.
 * @param isEnded  Whether the text ends with eos but for white space.
 * @returns Marked tokens, and which of `HELD` the ids had.
 */
export function frame(
  ids: Int32Array,
  numContext: number,
  specials: SpecialIds,
  isEnded = false,
): { readonly tokens: Int32Array; readonly held: number } {
  const hasStart = holdsStart(ids, specials)
  const numBefore = hasStart ? 0 : 1
  // One token that is bos and eos at once is a start: a sample has at least two.
  const hasEnd = ids.length > 1 - numBefore && (ids.at(-1) === specials.eosId || isEnded)
  const tokens = new Int32Array(numBefore + ids.length + (hasEnd ? 0 : 1))
  tokens[0] = specials.startId
  tokens.set(ids, numBefore)
  if (!hasEnd) tokens[tokens.length - 1] = specials.eosId
  markContext(tokens, 0, Math.max(1, numBefore + numContext))
  return { tokens, held: (hasStart ? HELD.start : 0) | (hasEnd ? HELD.end : 0) }
}

/** `HELD.twice` for ids with bos twice at their start, or eos twice in a row anywhere. */
export function heldTwice(ids: ArrayLike<number>, { bosId, eosId }: SpecialIds): number {
  const startsTwice = ids.length > 1 && ids[0] === bosId && ids[1] === bosId
  for (let i = 1; i < ids.length; i++) {
    if (ids[i] === eosId && ids[i - 1] === eosId && eosId !== bosId) return HELD.twice
  }
  return startsTwice ? HELD.twice : 0
}
