/**
 * FLOPs accounting. Letters as in the literature: N parameters, D tokens processed, T context, P samples,
 * V anchors, R refresh interval. Forward 2N, backward 4N, training 6N per token.
 *
 * Two conventions of papers are the caller's choice: whether N holds the embeddings (RegMix counts without), and
 * whether a sample is charged its true length or the full context ({@link tokensCharged}).
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

/** Tokens a cost is charged for: the full context per sample (`padded`, the papers' way) or true lengths (`real`). */
export function tokensCharged(
  convention: 'padded' | 'real',
  counts: { readonly samples: number; readonly context: number; readonly realTokens: number },
): number {
  return convention === 'padded' ? counts.samples * counts.context : counts.realTokens
}

/** Anchors embedded at once before step 0 and then every R steps: ceil(steps / R) times. */
export function numRefreshes(steps: number, every: number): number {
  return Math.ceil(steps / every)
}

/** Forwards of the anchors: 2 N V T per refresh. `refreshes` may be a ratio, such as epochs. */
export function refreshFlops(
  params: number,
  anchors: { readonly count: number; readonly tokensEach: number; readonly refreshes?: number },
): number {
  return forwardFlops(params, anchors.count * anchors.tokensEach) * (anchors.refreshes ?? 1)
}

/** Total cost of an ADAPT run under the two ways of counting that are in use. */
export interface AdaptFlops {
  /** 6 N D, both protocols. */
  readonly train: number
  /** What this implementation computes for the signal: refreshes, and 2 N D only when scoring is a forward of its own. */
  readonly signalMeasured: number
  /** The paper's instruction-tuning protocol: a scoring forward for every training token, 2 N D; refreshes not charged. */
  readonly signalPaper8N: number
  /** `protocol=measured` */
  readonly totalMeasured: number
  /** `protocol=paper-8N` */
  readonly totalPaper8N: number
}

/**
 * @param run.scoring  `fused`: states of the training forward are reused (pooling costs O(width / N) and is left
 *   out). `separate`: a forward of its own.
 */
export function adaptFlops(run: {
  readonly params: number
  readonly tokens: number
  readonly anchors: { readonly count: number; readonly tokensEach: number; readonly refreshes: number }
  readonly scoring?: 'fused' | 'separate'
}): AdaptFlops {
  const train = trainingFlops(run.params, run.tokens)
  const scoring = forwardFlops(run.params, run.tokens)
  const separate = run.scoring === 'separate' ? scoring : 0
  const signalMeasured = refreshFlops(run.params, run.anchors) + separate
  return {
    train,
    signalMeasured,
    signalPaper8N: scoring,
    totalMeasured: train + signalMeasured,
    totalPaper8N: train + scoring,
  }
}

/** Embedding selection with an encoder: 2 N_enc T_enc (P + V). */
export function embeddingSelectionFlops(run: {
  readonly encoderParams: number
  readonly encoderContext: number
  readonly samples: number
  readonly anchors: number
}): number {
  return forwardFlops(run.encoderParams, run.encoderContext * (run.samples + run.anchors))
}

/** RDS and RDS+: 2 N T (P + V) for the states, 2 V P d for the similarities. */
export function rdsFlops(run: {
  readonly params: number
  readonly context: number
  readonly samples: number
  readonly anchors: number
  readonly width: number
}): number {
  const states = forwardFlops(run.params, run.context * (run.samples + run.anchors))
  return states + 2 * run.anchors * run.samples * run.width
}

/** Perplexity selection: one forward over the pool. */
export function perplexitySelectionFlops(params: number, poolTokens: number): number {
  return forwardFlops(params, poolTokens)
}

/** The parts of LESS before the main training. */
export interface LessFlops {
  readonly warmup: number
  /** Gradients of the training samples at every checkpoint. */
  readonly gradients: number
  /** Gradients of the anchors at every checkpoint. */
  readonly validation: number
  readonly projection: number
  readonly similarity: number
  readonly total: number
}

/** LESS: warm-up training, C checkpoints of sample gradients, random projection, similarities. */
export function lessFlops(run: {
  readonly params: number
  readonly context: number
  readonly samples: number
  readonly anchors: number
  /** Share of the samples in the warm-up. */
  readonly warmupFraction: number
  readonly warmupEpochs: number
  readonly checkpoints: number
  readonly loraParams: number
  readonly projectionWidth: number
}): LessFlops {
  const { params, context, samples, anchors, checkpoints, projectionWidth } = run
  const warmup = trainingFlops(params, context * run.warmupFraction * samples * run.warmupEpochs)
  const gradients = checkpoints * trainingFlops(params, context * samples)
  const validation = checkpoints * trainingFlops(params, context * anchors)
  const projection = checkpoints * (samples + anchors) * 2 * run.loraParams * projectionWidth
  const similarity = checkpoints * 2 * samples * anchors * projectionWidth
  const total = warmup + gradients + validation + projection + similarity
  return { warmup, gradients, validation, projection, similarity, total }
}

/** DoReMi: 6 N_ref D_ref for the reference model, (6 + 2) N_proxy D_proxy for the proxy and its reference losses. */
export function doremiFlops(run: {
  readonly referenceParams: number
  /** 0 when the reference model's own training is not charged. */
  readonly referenceTokens: number
  readonly proxyParams: number
  readonly proxyTokens: number
}): number {
  const reference = trainingFlops(run.referenceParams, run.referenceTokens)
  return (
    reference +
    trainingFlops(run.proxyParams, run.proxyTokens) +
    forwardFlops(run.proxyParams, run.proxyTokens)
  )
}

/** RegMix: many small runs. */
export function regmixFlops(run: {
  readonly runs: number
  readonly proxyParams: number
  readonly proxyTokens: number
}): number {
  return run.runs * trainingFlops(run.proxyParams, run.proxyTokens)
}

/** DoGE: the proxy run and 2 K^2 N per proxy step for the gradients' dot products over K domains. */
export function dogeFlops(run: {
  readonly proxyParams: number
  readonly proxyTokens: number
  readonly proxySteps: number
  readonly domains: number
}): number {
  const products = 2 * run.domains ** 2 * run.proxyParams
  return trainingFlops(run.proxyParams, run.proxyTokens) + products * run.proxySteps
}

/** GREATS, signal cost of one step: 6 N T (2 B + B_val); 6 N T B more when the selected half is run again. */
export function greatsStepFlops(run: {
  readonly params: number
  readonly context: number
  readonly batch: number
  readonly validationBatch: number
  readonly rerun: boolean
}): number {
  const samples = 2 * run.batch + run.validationBatch + (run.rerun ? run.batch : 0)
  return trainingFlops(run.params, run.context * samples)
}

/** RHO-LOSS before training: 6 N_il D_hold for the irreducible-loss model, 2 N_il D to score the data with it. */
export function rhoLossPreparationFlops(run: {
  readonly holdoutParams: number
  readonly holdoutTokens: number
  readonly tokens: number
}): number {
  return trainingFlops(run.holdoutParams, run.holdoutTokens) + forwardFlops(run.holdoutParams, run.tokens)
}

/** RHO-LOSS, one step: forwards of the large batch, training of the kept one. */
export function rhoLossStepFlops(run: {
  readonly params: number
  readonly context: number
  readonly largeBatch: number
  readonly keptBatch: number
}): number {
  const scoring = forwardFlops(run.params, run.context * run.largeBatch)
  return scoring + trainingFlops(run.params, run.context * run.keptBatch)
}

/** Rho-1: 6 N_ref D_ref to train the reference model, 2 N_ref D to score the data (once; the losses can be kept). */
export function rho1Flops(run: {
  readonly referenceParams: number
  readonly referenceTokens: number
  readonly tokens: number
}): number {
  return (
    trainingFlops(run.referenceParams, run.referenceTokens) + forwardFlops(run.referenceParams, run.tokens)
  )
}
