import { isStaticWeight, STATIC_WEIGHT_RANGE } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { TokenizedSample } from '../tokenize/index.js'
import type { Batch } from './batch.js'
import { buildBatch } from './build-batch.js'

/** A sample that is already tokenised. */
export interface TokenSequence {
  /** Token ids, at least one. */
  readonly tokens: ArrayLike<number>
  /** Leading tokens that are read but not learnt, the prompt. Default 1: the first token has nothing before it. */
  readonly numPromptTokens?: number
  /** Default `sample-<place>`. */
  readonly id?: string
  /** Default `memory`. */
  readonly source?: string
  /** Static weight of the sample's loss, 0 or 1e-9 to 1e9. Default 1. */
  readonly weight?: number
}

/**
 * One batch from token sequences in memory: a row per sequence [B, T], padded on the right to the longest, T. For
 * files, packing and shuffling there is `openTokenCache` with `createRowStream` and `buildBatch`.
 *
 * @param sequences  Token ids, or ids with a prompt length, id, source and weight.
 * @param options.padId  Token on padding; it is never attended to nor learnt. Default 0.
 * @throws {DataError} BAD_TOKENS when a sequence is empty or an id is no integer in 0 .. 2^31 - 1; BAD_WEIGHT.
 * @example
 * const batch = batchTokens([[1, 5, 9, 2], { tokens: [1, 7, 2], source: 'notes' }])
 */
export function batchTokens(
  sequences: readonly (ArrayLike<number> | TokenSequence)[],
  { padId = 0 }: { readonly padId?: number } = {},
): Batch {
  const samples = sequences.map((entry, index) =>
    toSample('tokens' in entry ? entry : { tokens: entry }, index),
  )
  const rows = samples.map(({ index }) => [index])
  return buildBatch(rows, { sample: (index) => samples[index]! }, { padId, packing: false })
}

function toSample(sequence: TokenSequence, index: number): TokenizedSample {
  const { numPromptTokens = 1, id = `sample-${index}`, source = 'memory', weight = 1 } = sequence
  const ids = Array.from(sequence.tokens)
  const wrong = ids.findIndex((token) => !Number.isInteger(token) || token < 0 || token > 0x7fffffff)
  if (ids.length === 0 || wrong >= 0) {
    const received = ids.length === 0 ? 'no token' : `${ids[wrong]} at position ${wrong}`
    throw new DataError('BAD_TOKENS', `sample "${id}": expected token ids >= 0, received ${received}`, { id })
  }
  if (!isStaticWeight(weight)) {
    throw new DataError('BAD_WEIGHT', `sample "${id}": weight: ${STATIC_WEIGHT_RANGE}, received ${weight}`, {
      id,
    })
  }
  const labelMask = Uint8Array.from(ids, (_, t) => (t >= Math.max(1, numPromptTokens) ? 1 : 0))
  const tokens = Int32Array.from(ids)
  return { index, id, source, weight, path: 'memory', line: index + 1, tokens, labelMask }
}
