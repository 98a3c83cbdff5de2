/** B rows, T positions, N positions of several rows, D width. */
import { cat, type DType, indexSelect, narrow, reshape, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { batchTokens } from '../../batch/index.js'
import { type AttentionMask, OPEN_MASK } from './attention.js'
import type { CausalLM } from './causal-lm.js'
import { prepareForward, runBlocks } from './forward-pass.js'
import type { KeyValueCache } from './key-value-cache.js'
import { toModelInputs } from './model-inputs.js'

/** How an empty cache is filled. */
export interface FillOptions {
  /** Positions of a pass, at least those of one text; default: all of them. */
  readonly maxPositions?: number
  /** Dtype of the caller's autocast region. */
  readonly computeDtype?: DType | undefined
}

/**
 * Reads the beginnings of texts into an empty cache, a row each. Takes part in the caller's autocast and grad mode.
 * @param texts  Token ids, at least one each; the longest has as many as the cache's least padding leaves.
 * @returns float32 [B, D], hidden states of the last positions after the final norm. Belongs to the current scope.
 * @throws {ConfigError} SEQUENCE_TOO_LONG. @throws {DataError} BAD_TOKENS
 */
export function fillCache(
  model: CausalLM,
  texts: readonly ArrayLike<number>[],
  cache: KeyValueCache,
  { maxPositions = Number.POSITIVE_INFINITY, computeDtype }: FillOptions = {},
): Tensor {
  const hidden: Tensor[] = []
  for (let first = 0; first < texts.length; ) {
    let end = first
    let numPositions = 0
    do numPositions += texts[end++]!.length
    while (end < texts.length && numPositions + texts[end]!.length <= maxPositions)
    hidden.push(fillRows(model, texts.slice(first, end), cache, { first, computeDtype }))
    first = end
  }
  cache.advance(texts[0]!.length + cache.padding[0]!)
  return hidden.length === 1 ? hidden[0]! : cat(hidden)
}

function fillRows(
  model: CausalLM,
  texts: readonly ArrayLike<number>[],
  cache: KeyValueCache,
  { first, computeDtype }: { readonly first: number; readonly computeDtype: DType | undefined },
): Tensor {
  const { device } = model
  return scope(() => {
    const ids = (values: readonly number[]) =>
      tensor(Int32Array.from(values), [values.length], { dtype: 'int64', device })
    const inputs = toModelInputs(batchTokens(texts), device, { fill: false })
    const context = { ...prepareForward(model, inputs, computeDtype), cache }
    const places = texts.flatMap(({ length }, row) => {
      const start = (first + row) * cache.maxLength + cache.padding[first + row]!
      return Array.from({ length }, (_, t) => start + t)
    })
    let hidden_BTD: Tensor
    cache.fill(ids(places), () => {
      hidden_BTD = runBlocks(model, inputs.tokens_BT, context)
    })
    let numRead = 0
    const last = texts.map(({ length }) => {
      numRead += length
      return numRead - 1
    })
    return indexSelect(reshape(hidden_BTD!, [numRead, model.config.hiddenSize]), 0, ids(last))
  })
}

/**
 * Hidden states of one more position of every row of a cache. Takes part in the caller's autocast and grad mode.
 * @param tokens  One id a row.
 * @returns float32 [B, D] after the final norm. Belongs to the current scope.
 */
export function forwardCached(model: CausalLM, tokens: ArrayLike<number>, cache: KeyValueCache): Tensor {
  const { device, config } = model
  const B = tokens.length
  return scope(() => {
    const ids = (values: ArrayLike<number>) =>
      tensor(Int32Array.from(values), [B, 1], { dtype: 'int64', device })
    const isPadded = cache.padding.some((columns) => columns > 0)
    const position_B = cache.padding.map((columns) => cache.length - columns)
    const rotation = isPadded
      ? model.rotation(ids(position_B), Math.max(...position_B) + 1)
      : model.rotation(undefined, 1, cache.length)
    const masks = isPadded
      ? paddingMasks(cache, device, config.slidingWindow)
      : { mask: OPEN_MASK, slidingMask: OPEN_MASK }
    const hidden_BTD = runBlocks(model, ids(tokens), { rotation, ...masks, cache })
    cache.advance(1)
    return reshape(hidden_BTD, [B, config.hiddenSize])
  })
}

/** Every position of a row's own may be looked at, within the window; padding may not. */
function paddingMasks(
  { padding, length }: KeyValueCache,
  device: string,
  window = length + 1,
): { readonly mask: AttentionMask; readonly slidingMask: AttentionMask } {
  const U = length + 1
  const mask = new Float32Array(padding.length * U)
  for (const [row, columns] of padding.entries()) {
    mask.fill(Number.NEGATIVE_INFINITY, row * U, row * U + columns)
  }
  const additive = tensor(mask, [padding.length, 1, 1, 1, U], { device })
  const reach = Math.min(window, U)
  return {
    mask: { isCausal: false, additive },
    slidingMask: { isCausal: false, additive: narrow(additive, 4, U - reach, reach) },
  }
}
