/** V anchors. */
import { type Batch, IGNORED_LABEL } from '../batch/index.js'
import { holdsStart, type SpecialIds, type TokenizedSample } from '../tokenize/index.js'

/** An anchor that may stand before a sample. */
export interface Demonstration {
  readonly tokens: Int32Array
  /** The turns of a conversation, which its template ends. */
  readonly isChat: boolean
}

/** The samples of a batch as they were before they were laid out, without the place that they came from. */
export function samplesOf({ samples, segment_BT, tokens_BT, labels_BT }: Batch): TokenizedSample[] {
  return samples.map(({ index, id, source, weight, numTokens }, segment) => {
    const start = segment_BT.indexOf(segment)
    const labelMask = new Uint8Array(numTokens)
    for (let t = 1; t < numTokens; t++) labelMask[t] = labels_BT[start + t - 1] === IGNORED_LABEL ? 0 : 1
    const tokens = tokens_BT.slice(start, start + numTokens)
    return { ...{ index, id, source, weight, tokens, labelMask }, path: '', line: 0 }
  })
}

/**
 * The anchors as demonstrations, in the order of their batches.
 * @param isChat  Of the anchor at a place in that order.
 */
export function demonstrationsOf(
  anchors: readonly Batch[],
  isChat: (place: number) => boolean,
): Demonstration[] {
  return anchors.flatMap(samplesOf).map(({ tokens }, v) => ({ tokens, isChat: isChat(v) }))
}

/** The k places with the largest similarities, the largest first; of equal ones the first. */
export function nearestPlaces(
  similarity_V: ArrayLike<number>,
  k: number,
  isAllowed: (place: number) => boolean,
): number[] {
  return Array.from({ length: similarity_V.length }, (_, v) => v)
    .filter(isAllowed)
    .sort((a, b) => similarity_V[b]! - similarity_V[a]! || a - b)
    .slice(0, k)
}

/** Whether two samples are the same tokens. */
export function isSame(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((token, t) => token === b[t])
}

/** A sample behind demonstrations; only its own labels are labels. */
export interface InContext {
  readonly tokens: Int32Array
  readonly labelMask: Uint8Array
  /** Demonstrations that fit. */
  readonly count: number
}

/**
 * Demonstrations before a sample, the nearest last: the turns of a conversation as they are, documents joined by the end-of-text token. Start
 * tokens but the first are left out. The farthest goes first where not all fit.
 *
 * @param nearestFirst  At least none.
 * @param maxTokens  Of all together.
 * @returns undefined where not even the nearest fits.
 */
export function inContext(
  sample: { readonly tokens: Int32Array; readonly labelMask: Uint8Array },
  nearestFirst: readonly Demonstration[],
  specials: SpecialIds,
  maxTokens: number,
): InContext | undefined {
  const numOwnStart = holdsStart(sample.tokens, specials) ? 1 : 0
  const own = sample.tokens.subarray(numOwnStart)
  for (let count = nearestFirst.length; count > 0; count--) {
    const before = joined(nearestFirst.slice(0, count).reverse(), specials)
    const length = before.length + own.length
    if (length > maxTokens) continue
    const tokens = new Int32Array(length)
    tokens.set(before)
    tokens.set(own, before.length)
    const labelMask = new Uint8Array(length)
    labelMask.set(sample.labelMask.subarray(numOwnStart), before.length)
    return { tokens, labelMask, count }
  }
  return undefined
}

function joined(demonstrations: readonly Demonstration[], specials: SpecialIds): number[] {
  return demonstrations.flatMap(({ tokens, isChat }, i) => {
    const own = i > 0 && holdsStart(tokens, specials) ? tokens.subarray(1) : tokens
    const isEnded = isChat || (own.length > 0 && own.at(-1) === specials.eosId)
    return isEnded ? [...own] : [...own, specials.eosId]
  })
}
