import { costOf, partsOf, scoringFlops } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { forwardFlops, trainingFlops } from '../method/flops.js'
import type { ParameterEstimate } from './estimate-parameters.js'

/** How long a run is. Tokens are those that are computed, padding included. */
export interface RunLength {
  readonly steps: number
  readonly stepsPerEpoch: number
  /** How often the training data would be read where no selection left out a part of it. */
  readonly passes?: number
  readonly tokens: number
  /** Of the training data: all of it once. */
  readonly samples: number
  readonly tokensPerPass: number
  /** How `tokens` is known. */
  readonly basis: 'token cache' | 'upper bound'
}

/** Anchors of a run, and how long one is on average. */
export interface AnchorCount {
  readonly count: number
  readonly tokensEach: number
}

/** Floating-point operations of a run; matrix products only, 2 for a multiply-add. */
export interface FlopsCount {
  /** Forward and backward of one token. */
  readonly perToken: number
  readonly train: number
  /** Of the signal, as this program computes it: the anchors' forwards, and a scoring forward where the method has one. */
  readonly signal: number
  /** Of what the method does before training. */
  readonly preparation: number
  readonly total: number
  /** 6 N for each token, whatever is frozen; N without adapters. */
  readonly plain6N: number
  /** The paper's protocol for ADAPT: 8 N for each token. Absent for a method without anchors. */
  readonly paper8N?: number
}

/** A run under both conventions of N: all parameters, and those beside embedding and head. */
export interface FlopsEstimate extends FlopsCount {
  readonly withoutEmbedding: FlopsCount
}

/**
 * @param length  One token where it is not known: `perToken` and what follows from it hold.
 * @param modelsRead  Of the method, by option; those that are not there are charged as if they were the run's.
 */
export function estimateFlops(
  config: Pick<RunConfig, 'method' | 'training'>,
  params: ParameterEstimate & { readonly positions?: number },
  length: RunLength,
  anchors: AnchorCount,
  modelsRead: Readonly<Record<string, ParameterEstimate>> = {},
): FlopsEstimate {
  const { embedding, nonEmbedding, total } = params
  // As a run counts itself.
  const frozenBase = params.trainable < total / 2
  const countOf = (N: number, base: number): FlopsCount => {
    const isWhole = N === total
    const paramsRead = Object.fromEntries(
      Object.entries(modelsRead).map(([option, read]) => [option, isWhole ? read.total : read.nonEmbedding]),
    )
    const options = {
      recompute: config.training.gradient_checkpointing,
      frozenBase,
    }
    const train = trainingFlops(N, length.tokens, options)
    const { preparation, signal: ofSignal } = costOf(config.method, {
      ...length,
      params: N,
      trainable: Math.min(params.trainable, N),
      ...options,
      ...(params.positions === undefined ? {} : { positions: params.positions }),
      anchors: anchors.count,
      tokensPerAnchor: anchors.tokensEach,
      paramsRead,
    })
    const parts = partsOf(config.method)
    const scoring = scoringFlops(parts, {
      params: N,
      tokens: length.tokens * (1 - Math.min(parts.firstScored / Math.max(1, length.steps), 1)),
      microBatches: config.training.gradient_accumulation_steps,
      tokensPerSample: length.tokensPerPass / Math.max(1, length.samples),
    })
    const signal = ofSignal + scoring
    const plain6N = trainingFlops(base, length.tokens)
    return {
      perToken: trainingFlops(N, 1, options),
      train,
      signal,
      preparation,
      total: train + signal + preparation,
      plain6N,
      ...(anchors.count > 0 ? { paper8N: plain6N + forwardFlops(base, length.tokens) } : {}),
    }
  }
  return {
    ...countOf(total, embedding + nonEmbedding),
    withoutEmbedding: countOf(total - embedding, nonEmbedding),
  }
}
