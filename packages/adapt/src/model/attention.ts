/** B rows, T positions, H heads, K key/value heads, G = H / K query heads a group, E head size. */
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

/** What attention may look at; at most one of the two is there. */
export interface AttentionMask {
  /** float32 [B or 1, 1, 1, T, T] additive, or undefined for plain causal order. */
  readonly block_BTT: Tensor | undefined
  /** float32 [1, 1, 1, T, T]: the causal mask of this length, for engines without a fused kernel. */
  readonly causal_TT: Tensor | undefined
}

let fused: boolean | undefined

/** Whether this LibTorch has the public scaled_dot_product_attention (2.0 and later). */
export function hasFusedAttention(): boolean {
  fused ??= hasOperator('aten::scaled_dot_product_attention')
  return fused
}

const sdpa = bind('aten::scaled_dot_product_attention')

/** Whether the fused kernel shares key/value heads by itself (2.5 and later). */
const sharesHeads = () => sdpa.schema.includes('enable_gqa')

/** The masks all layers of one forward share. */
export function attentionMask(block_BTT: Tensor | undefined, length: number, device: string): AttentionMask {
  if (block_BTT) return { block_BTT, causal_TT: undefined }
  if (hasFusedAttention()) return { block_BTT: undefined, causal_TT: undefined }
  const causal = triu(full([length, length], Number.NEGATIVE_INFINITY, { device }), 1)
  return { block_BTT: undefined, causal_TT: view(causal, [1, 1, 1, length, length]) }
}

/**
 * softmax(q k^T + mask) v with grouped query heads. The scale 1 / sqrt(E) is already in q.
 * @param q_BTHE float, rotated and scaled. @param k_BTKE rotated. @param v_BTKE
 * @returns [B, T, H * E]
 */
export function attend(q_BTHE: Tensor, k_BTKE: Tensor, v_BTKE: Tensor, mask: AttentionMask): Tensor {
  const [B, T, H, E] = q_BTHE.shape as [number, number, number, number]
  const K = k_BTKE.shape[2]!
  const q_BHTE = transpose(q_BTHE, 1, 2)
  const k_BKTE = transpose(k_BTKE, 1, 2)
  const v_BKTE = transpose(v_BTKE, 1, 2)
  if (hasFusedAttention()) {
    const options = {
      attn_mask: mask.block_BTT ? reshape(mask.block_BTT, [-1, 1, T, T]) : null,
      is_causal: mask.block_BTT === undefined,
      scale: 1,
    }
    const attended = (
      sharesHeads()
        ? sdpa(q_BHTE, k_BKTE, v_BKTE, { ...options, enable_gqa: K !== H })
        : sdpa(q_BHTE, repeatHeads(k_BKTE, H), repeatHeads(v_BKTE, H), options)
    ) as Tensor
    return reshape(transpose(attended, 1, 2), [B, T, H * E])
  }
  // Query heads that share a key head are rows of one matrix product: keys and values are never repeated.
  const G = H / K
  const q = view(contiguous(q_BHTE), [B * K, G * T, E])
  const k = reshape(transpose(k_BKTE, 2, 3), [B * K, E, T])
  const v = reshape(v_BKTE, [B * K, T, E])
  const scores = view(bmm(q, k), [B, K, G, T, T])
  const additive = (mask.block_BTT ?? mask.causal_TT)!
  const attention = softmax(add_(scores, additive), -1)
  const attended = view(bmm(view(attention, [B * K, G * T, T]), v), [B, H, T, E])
  return reshape(permute(attended, [0, 2, 1, 3]), [B, T, H * E])
}

/** Each key/value head for all query heads of its group: [B, K, T, E] -> [B, H, T, E]. */
function repeatHeads(x_BKTE: Tensor, numHeads: number): Tensor {
  const [B, K, T, E] = x_BKTE.shape as [number, number, number, number]
  if (K === numHeads) return x_BKTE
  const wide = expand(unsqueeze(x_BKTE, 2), [B, K, numHeads / K, T, E])
  return reshape(wide, [B, numHeads, T, E])
}
