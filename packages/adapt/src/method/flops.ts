/**
 * FLOPs accounting. Letters as in the literature: N parameters, D tokens processed, R refresh interval. Forward 2N,
 * backward 4N, training 6N per token.
 *
 * Two conventions of papers are the caller's choice: whether N holds the embeddings (RegMix counts without), and
 * whether D counts true lengths or the full context of every sample.
 */

/** Optional refinements of the base counts; all off by default, as in the papers. */
export interface FlopsOptions {
  /** Adds the attention scores and values (causal): 2 x layers x width x context per token and forward. */
  readonly attention?: { readonly layers: number; readonly width: number; readonly context: number }
  /** Activation recomputation: one more forward. Training only. */
  readonly recompute?: boolean
  /**
   * LoRA's frozen matrices need no weight gradients, which saves about 2N. The papers' protocol charges full
   * training all the same; set this for what is really computed. Training only.
   */
  readonly frozenBase?: boolean
}

/** Forward FLOPs of D tokens: 2 N D. */
export function forwardFlops(params: number, tokens: number, options: FlopsOptions = {}): number {
  return (2 * params + attentionFlops(options)) * tokens
}

/** Training FLOPs of D tokens: 6 N D; 8 N D with recomputation, 4 N D (6 N D) with a frozen base. */
export function trainingFlops(params: number, tokens: number, options: FlopsOptions = {}): number {
  const forwards = options.recompute ? 2 : 1
  const weights = options.frozenBase ? 0 : 2 * params
  const attention = attentionFlops(options)
  return (forwards * (2 * params + attention) + 2 * params + 2 * attention + weights) * tokens
}

function attentionFlops({ attention }: FlopsOptions): number {
  return attention === undefined ? 0 : 2 * attention.layers * attention.width * attention.context
}

/** Anchors embedded at once before step 0 and then every R steps: ceil(steps / R) times. */
export function numRefreshes(steps: number, every: number): number {
  return Math.ceil(steps / every)
}

/** Anchors embedded before step `first` and then before those of the steps up to `steps` that R divides. */
export function numRefreshesFromStart(first: number, steps: number, every: number): number {
  if (first >= steps) return 0
  const isMultiple = first % every === 0
  return Math.ceil(steps / every) - Math.ceil(first / every) + (isMultiple ? 0 : 1)
}
