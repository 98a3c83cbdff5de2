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
  permute,
  reshape,
  scope,
  softmax,
  split,
  type Tensor,
  tensor,
  toDevice,
  transpose,
  triu,
  unsqueeze,
  view,
} from '@adapt-ts/torch'

/** What attention may look at: plain causal order by the kernel's own flag, else an additive mask, else everything. */
export interface AttentionMask {
  readonly isCausal: boolean
  /** float32 [T, T], 0 where position t may look at u, -inf elsewhere. Shorter samples use its upper left part. */
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

/** Whether the fused kernel shares key/value heads by itself (2.5 and later). */
const sharesHeads = () => sdpa.schema.includes('enable_gqa')

/**
 * The mask that layers of one forward share: 0 where t - window < u <= t.
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
  const mask = new Float32Array(length * length).fill(Number.NEGATIVE_INFINITY)
  for (let t = 0; t < length; t++) mask.fill(0, t * length + Math.max(0, t - window + 1), t * length + t + 1)
  return { isCausal, additive: scope(() => toDevice(tensor(mask, [length, length]), device)) }
}

/**
 * Attention within each sample: samples of `lengths` stand one after another in one row, or each row is a sample.
 * @param q_BTHE float, rotated and scaled. @param k_BUKE rotated, of U >= T positions. @param v_BUKE
 * @returns [B, T, H * E]
 */
export function attend(
  q_BTHE: Tensor,
  k_BUKE: Tensor,
  v_BUKE: Tensor,
  mask: AttentionMask,
  lengths?: readonly number[],
): Tensor {
  if (lengths === undefined) return attendRows(q_BTHE, k_BUKE, v_BUKE, mask)
  const [queries, keys, values] = [q_BTHE, k_BUKE, v_BUKE].map((x) => split(x, lengths, 1)) as [
    Tensor[],
    Tensor[],
    Tensor[],
  ]
  return cat(
    queries.map((query, i) => attendRows(query, keys[i]!, values[i]!, mask)),
    1,
  )
}

/** softmax(q k^T + mask) v with grouped query heads, row by row. The scale 1 / sqrt(E) is already in q. */
function attendRows(q_BTHE: Tensor, k_BUKE: Tensor, v_BUKE: Tensor, mask: AttentionMask): Tensor {
  const [B, T, H, E] = q_BTHE.shape as [number, number, number, number]
  const [, U, K] = k_BUKE.shape as [number, number, number, number]
  const q_BHTE = transpose(q_BTHE, 1, 2)
  const k_BKUE = transpose(k_BUKE, 1, 2)
  const v_BKUE = transpose(v_BUKE, 1, 2)
  const additive = mask.additive && narrow(narrow(mask.additive, 0, 0, T), 1, 0, U)
  if (hasFusedAttention()) {
    const options = {
      attn_mask: additive ?? null,
      is_causal: mask.isCausal,
      scale: 1,
    }
    const attended = (
      sharesHeads()
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
  const scores = view(bmm(q, k), [B, K, G, T, U])
  const attention = softmax(additive ? add_(scores, additive) : scores, -1)
  const attended = view(bmm(view(attention, [B * K, G * T, U]), v), [B, H, T, E])
  return reshape(permute(attended, [0, 2, 1, 3]), [B, T, H * E])
}

/** Each key/value head for all query heads of its group: [B, K, T, E] -> [B, H, T, E]. */
function repeatHeads(x_BKTE: Tensor, numHeads: number): Tensor {
  const [B, K, T, E] = x_BKTE.shape as [number, number, number, number]
  if (K === numHeads) return x_BKTE
  const wide = expand(unsqueeze(x_BKTE, 2), [B, K, numHeads / K, T, E])
  return reshape(wide, [B, numHeads, T, E])
}
