import { scoresApart } from '../catalog/method-config.js'
import type { RunConfig } from '../config/index.js'
import { forwardFlops, numRefreshes, trainingFlops } from '../train/flops.js'
import type { ParameterEstimate } from './estimate-parameters.js'

/** How long a run is. Tokens are those that are computed, padding included. */
export interface RunLength {
  readonly steps: number
  readonly stepsPerEpoch: number
  readonly tokens: number
  /** How `tokens` is known. */
  readonly basis: 'token cache' | 'upper bound'
}

/** Anchors of a run; each is charged `tokensEach`. */
export interface AnchorCount {
  readonly count: number
  readonly tokensEach: number
}

/** Floating-point operations; matrix products only, 2 for a multiply-add. */
export interface FlopsEstimate {
  /** Forward and backward of one token. */
  readonly perToken: number
  readonly train: number
  /** Of the signal, as this program computes it: the anchors' forwards, and a scoring forward where the method has one. */
  readonly signal: number
  readonly total: number
  /** 6 N for each token, whatever is frozen; N without adapters. */
  readonly plain6N: number
  /** The paper's protocol for ADAPT: 8 N for each token. Absent for a method without anchors. */
  readonly paper8N?: number
}

/** Times that all anchors are embedded: once before the first step, then as `refresh_every` says; adaptive: at most. */
function refreshesOf({ signal }: RunConfig['method'], { steps, stepsPerEpoch }: RunLength): number {
  if (signal.kind !== 'model-embedding') return 0
  if (signal.refresh === 'adaptive') return numRefreshes(steps, signal.refresh_min)
  return numRefreshes(steps, signal.refresh_every === 'epoch' ? stepsPerEpoch : signal.refresh_every)
}

/** @param length  Absent: only `perToken` and what follows from it for one token. */
export function estimateFlops(
  config: Pick<RunConfig, 'method' | 'training'>,
  params: ParameterEstimate,
  length: RunLength,
  anchors: AnchorCount,
): FlopsEstimate {
  const options = {
    recompute: config.training.gradient_checkpointing,
    // As a run counts itself.
    frozenBase: params.trainable < params.total / 2,
  }
  const train = trainingFlops(params.total, length.tokens, options)
  const anchorTokens = anchors.count * anchors.tokensEach * refreshesOf(config.method, length)
  const scoring = scoresApart(config.method, config.training.gradient_accumulation_steps) ? length.tokens : 0
  const signal = forwardFlops(params.total, anchorTokens + scoring)
  const base = params.embedding + params.nonEmbedding
  const plain6N = trainingFlops(base, length.tokens)
  return {
    perToken: trainingFlops(params.total, 1, options),
    train,
    signal,
    total: train + signal,
    plain6N,
    ...(anchors.count > 0 ? { paper8N: plain6N + forwardFlops(base, length.tokens) } : {}),
  }
}
