/** B rows, T queries, U keys, H heads, K key/value heads, G = H / K query heads a group, E head size. */
import {
  add_,
  bind,
  bmm,
  contiguous,
  expand,
  full,
  hasOperator,
  permute,
  reshape,
  softmax,
  type Tensor,
  transpose,
  triu,
  unsqueeze,
  view,
} from '@adapt-ts/torch'

/** What attention may look at: plain causal order by the kernel's own flag, else an additive mask, else everything. */
export interface AttentionMask {
  readonly isCausal: boolean
  /** float32 [B or 1, 1, 1, T, T], 0 where position t may look at u, -inf elsewhere. */
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
 * The mask that layers of one forward share.
 * @param block_BTT  What `ModelInputs` says; undefined where causal order is all that is needed.
 */
export function attentionMask(block_BTT: Tensor | undefined, length: number, device: string): AttentionMask {
  if (block_BTT) return { isCausal: false, additive: block_BTT }
  if (hasFusedAttention()) return { isCausal: true, additive: undefined }
  const causal = triu(full([length, length], Number.NEGATIVE_INFINITY, { device }), 1)
  return { isCausal: false, additive: view(causal, [1, 1, 1, length, length]) }
}

/**
 * softmax(q k^T + mask) v with grouped query heads. The scale 1 / sqrt(E) is already in q.
 * @param q_BTHE float, rotated and scaled. @param k_BUKE rotated, of U >= T positions. @param v_BUKE
 * @returns [B, T, H * E]
 */
export function attend(q_BTHE: Tensor, k_BUKE: Tensor, v_BUKE: Tensor, mask: AttentionMask): Tensor {
  const [B, T, H, E] = q_BTHE.shape as [number, number, number, number]
  const [, U, K] = k_BUKE.shape as [number, number, number, number]
  const q_BHTE = transpose(q_BTHE, 1, 2)
  const k_BKUE = transpose(k_BUKE, 1, 2)
  const v_BKUE = transpose(v_BUKE, 1, 2)
  if (hasFusedAttention()) {
    const options = {
      attn_mask: mask.additive ? reshape(mask.additive, [-1, 1, T, U]) : null,
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
  const attention = softmax(mask.additive ? add_(scores, mask.additive) : scores, -1)
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
