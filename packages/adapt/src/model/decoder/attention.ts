/** B rows, T queries, U keys, H heads, K key/value heads, G = H / K query heads a group, E head size. */
import {
  add_,
  bind,
  bmm,
  cat,
  contiguous,
  expand,
  full,
  hasOperator,
  narrow,
  noGrad,
  permute,
  reshape,
  scope,
  softmax,
  split,
  type Tensor,
  tensor,
  transpose,
  triu,
  unsqueeze,
  view,
} from '@adapt-ts/torch'
import type { Batch } from '../../batch/index.js'
import { stretchesOf } from './model-inputs.js'

/** What attention may look at: plain causal order by the kernel's own flag, else an additive mask, else everything. */
export interface AttentionMask {
  readonly isCausal: boolean
  /**
   * float32, 0 where position t may look at u, -inf elsewhere: [T, T], of which shorter samples use the upper left part,
   * or [B, 1, 1, T, T] when rows differ.
   */
  readonly additive: Tensor | undefined
}

/** Every query may look at every key: a new position that comes after all of them. */
export const OPEN_MASK: AttentionMask = { isCausal: false, additive: undefined }

let fused: boolean | undefined

/** Whether this LibTorch has the public scaled_dot_product_attention (2.0 and later). */
export function hasFusedAttention(): boolean {
  fused ??= hasOperator('aten::scaled_dot_product_attention')
  return fused
}

const sdpa = bind('aten::scaled_dot_product_attention')

/**
 * Whether the fused kernel shares key/value heads by itself (2.5 and later). On a GPU only flash attention does, which takes
 * no mask and 16-bit numbers alone: with shared heads everything else falls back to products that hold all scores.
 */
function sharesHeads(q: Tensor, additive: Tensor | undefined): boolean {
  if (!sdpa.schema.includes('enable_gqa')) return false
  return q.device === 'cpu' || (additive === undefined && q.dtype !== 'float32')
}

/**
 * The mask of one sample: 0 where t - window < u <= t.
 * @param length  Of the longest sample.
 * @param window  Undefined, or not below `length`, for causal order alone.
 */
export function attentionMask(length: number, device: string, window = length): AttentionMask {
  const isCausal = window >= length
  if (isCausal && hasFusedAttention()) return { isCausal, additive: undefined }
  if (isCausal) {
    return {
      isCausal: false,
      additive: triu(full([length, length], Number.NEGATIVE_INFINITY, { device }), 1),
    }
  }
  return blockMask([length], device, window)
}

/** The mask of several samples one after another: none looks at another, or further back than the window. */
function blockMask(lengths: readonly number[], device: string, window: number): AttentionMask {
  const total = sumOf(lengths)
  const mask = new Float32Array(total * total).fill(Number.NEGATIVE_INFINITY)
  let start = 0
  for (const length of lengths) {
    openSample(mask, 0, total, { start, length, window })
    start += length
  }
  const additive = tensor(mask, [total, total], { device })
  return { isCausal: false, additive }
}

/**
 * The mask of rows that hold several samples each: those of a row do not see each other, and padding sees itself (a row
 * of -inf alone is NaN). Belongs to the current scope.
 */
export function packedMask(batch: Batch, device: string, window = batch.length): AttentionMask {
  const { rows, length: T } = batch
  const mask = new Float32Array(rows * T * T).fill(Number.NEGATIVE_INFINITY)
  for (let i = 0; i < rows * T; i++) mask[i * T + (i % T)] = 0
  for (const { row, start, length } of stretchesOf(batch))
    openSample(mask, row * T * T, T, { start, length, window })
  const additive = tensor(mask, [rows, 1, 1, T, T], { device })
  return { isCausal: false, additive }
}

/** Zeros where the positions of one sample look back within it, in a square mask that begins at `offset`. */
function openSample(
  mask: Float32Array,
  offset: number,
  width: number,
  { start, length, window }: { readonly start: number; readonly length: number; readonly window: number },
): void {
  for (let t = start; t < start + length; t++) {
    const row = offset + t * width
    mask.fill(0, row + Math.max(start, t - window + 1), row + t + 1)
  }
}

/** Samples that stand one after another and attend in one product. */
export interface AttentionGroup {
  /** Positions of all of them. */
  readonly length: number
  readonly mask: AttentionMask
  /** For layers with a sliding window. */
  readonly slidingMask: AttentionMask
}

/**
 * Short samples share a product under a mask, because a call of its own costs more than what the mask wastes: that is
 * so up to about this many positions.
 */
export const GROUP_POSITIONS = 256

/**
 * Neighbouring samples in groups of at most `GROUP_POSITIONS` positions; a longer sample is alone and needs no mask of
 * its own. Masks belong to the current scope.
 */
export function attentionGroups(
  lengths: readonly number[],
  device: string,
  slidingWindow?: number,
): AttentionGroup[] {
  const longest = Math.max(...lengths)
  const alone = masksOf(longest, slidingWindow, (window) => attentionMask(longest, device, window))
  const groups: number[][] = []
  let numPositions = 0
  for (const length of lengths) {
    const last = groups.at(-1)
    if (last !== undefined && numPositions + length <= GROUP_POSITIONS) last.push(length)
    else {
      groups.push([length])
      numPositions = 0
    }
    numPositions += length
  }
  return groups.map((group) => {
    const length = sumOf(group)
    if (group.length === 1) return { length, ...alone }
    const shared = (window = length) => blockMask(group, device, window)
    return { length, ...masksOf(Math.max(...group), slidingWindow, shared) }
  })
}

/** Both masks of a forward or group; one for both where no sample is longer than the window. */
export function masksOf(
  longest: number,
  slidingWindow: number | undefined,
  make: (window?: number) => AttentionMask,
): Pick<AttentionGroup, 'mask' | 'slidingMask'> {
  const mask = make()
  const slides = slidingWindow !== undefined && slidingWindow < longest
  return { mask, slidingMask: slides ? make(slidingWindow) : mask }
}

const sumOf = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0)

/**
 * Attention of groups that stand one after another in one row.
 * @param q_BTHE float [1, T, H, E], rotated and scaled. @param k_BTKE rotated. @param v_BTKE
 * @param isSliding  Whether the layer looks back no further than the sliding window.
 * @param before  Keys and values that every group looks at first.
 * @returns [1, T, H * E]
 */
export function attendGroups(
  q_BTHE: Tensor,
  k_BTKE: Tensor,
  v_BTKE: Tensor,
  groups: readonly AttentionGroup[],
  {
    isSliding,
    before,
  }: { readonly isSliding: boolean; readonly before?: readonly [Tensor, Tensor] | undefined },
): Tensor {
  const lengths = groups.map(({ length }) => length)
  const [queries, keys, values] = [q_BTHE, k_BTKE, v_BTKE].map((x) => split(x, lengths, 1)) as [
    Tensor[],
    Tensor[],
    Tensor[],
  ]
  return cat(
    groups.map(({ mask, slidingMask }, i) =>
      attend(
        queries[i]!,
        after(before?.[0], keys[i]!),
        after(before?.[1], values[i]!),
        isSliding ? slidingMask : mask,
      ),
    ),
    1,
  )
}

/** Positions that are kept, then those of a pass: [1, P + T, K, E]. */
export const after = (held: Tensor | undefined, own: Tensor): Tensor => (held ? cat([held, own], 1) : own)

/**
 * softmax(q k^T + mask) v with grouped query heads, row by row. The scale 1 / sqrt(E) is already in q.
 * @param q_BTHE float, rotated and scaled. @param k_BUKE rotated, of U >= T positions. @param v_BUKE
 * @returns [B, T, H * E]
 */
export function attend(q_BTHE: Tensor, k_BUKE: Tensor, v_BUKE: Tensor, mask: AttentionMask): Tensor {
  const [B, T, H, E] = q_BTHE.shape as [number, number, number, number]
  const [, U, K] = k_BUKE.shape as [number, number, number, number]
  const q_BHTE = transpose(q_BTHE, 1, 2)
  const k_BKUE = transpose(k_BUKE, 1, 2)
  const v_BKUE = transpose(v_BUKE, 1, 2)
  const additive = mask.additive && fitMask(mask.additive, T, U)
  if (hasFusedAttention()) {
    const options = {
      attn_mask: additive && additive.shape.length > 2 ? reshape(additive, [B, 1, T, U]) : (additive ?? null),
      is_causal: mask.isCausal,
      scale: 1,
    }
    const attended = (
      sharesHeads(q_BTHE, additive)
        ? sdpa(q_BHTE, k_BKUE, v_BKUE, { ...options, enable_gqa: K !== H })
        : sdpa(q_BHTE, repeatHeads(k_BKUE, H), repeatHeads(v_BKUE, H), options)
    ) as Tensor
    return reshape(transpose(attended, 1, 2), [B, T, H * E])
  }
  // Query heads that share a key head are rows of one matrix product: keys and values are never repeated.
  const G = H / K
  const q = view(contiguous(q_BHTE), [B * K, G * T, E])
  const k = reshape(transpose(k_BKUE, 2, 3), [B * K, E, U])
  const v = reshape(v_BKUE, [B * K, U, E])
  const products = bmm(q, k)
  // The gradient of x + constant is that of x: autograd would write an addition in place of a view back through three copies.
  if (additive) {
    noGrad(() =>
      scope(() => {
        add_(view(products, [B, K, G, T, U]), additive)
      }),
    )
  }
  const attention = softmax(view(products, [B, K, G, T, U]), -1)
  const attended = view(bmm(view(attention, [B * K, G * T, U]), v), [B, H, T, E])
  return reshape(permute(attended, [0, 2, 1, 3]), [B, T, H * E])
}

function fitMask(additive: Tensor, T: number, U: number): Tensor {
  return additive.shape.length > 2 ? additive : narrow(narrow(additive, 0, 0, T), 1, 0, U)
}

/** Each key/value head for all query heads of its group: [B, K, T, E] -> [B, H, T, E]. */
function repeatHeads(x_BKTE: Tensor, numHeads: number): Tensor {
  const [B, K, T, E] = x_BKTE.shape as [number, number, number, number]
  if (K === numHeads) return x_BKTE
  const wide = expand(unsqueeze(x_BKTE, 2), [B, K, numHeads / K, T, E])
  return reshape(wide, [B, numHeads, T, E])
}
