/** What one sample got in one optimiser step. One row of the ledger. */
export interface SampleRecord {
  /** Dense integer, unique per data fingerprint. */
  readonly index: number
  readonly id: string
  readonly source: string
  /** The signal's value, before the gate. */
  readonly score: number
  /** The gate's weight. */
  readonly weight: number
  /** The static weight of the data record; multiplies `weight`, no part of EDR or ESS. */
  readonly sampleWeight: number
  /** Mean over the sample's labels, nats. */
  readonly loss: number
  /** Number of labels (predicted tokens). */
  readonly tokens: number
}

/** What the trainer emits once per optimiser step. */
export interface StepRecord {
  readonly type: 'step'
  /** Completed optimiser steps, so the first record has 1. */
  readonly step: number
  /** Seconds since the epoch. */
  readonly time: number
  readonly epoch: number
  /** The objective that was minimised: nats per token or per sample, as the normaliser says. */
  readonly lossWeighted: number
  /** The same with every gate weight 1. */
  readonly lossUnweighted: number
  /** Before clipping. */
  readonly gradNorm: number
  readonly learningRate: number
  readonly numSamples: number
  /** Labels of this step. */
  readonly numTokens: number
  /** All positions of this step that hold a token, prompts included. */
  readonly numTokensProcessed: number
  /** Mean gate weight: the effective data ratio (EDR). */
  readonly weightMean: number
  /** Kish effective sample size divided by the number of samples. */
  readonly essRatio: number
  /** Gate weights at 0, 5, 25, 50, 75, 95 and 100 %. */
  readonly weightQuantiles: readonly number[]
  readonly scoreMean: number
  readonly scoreStd: number
  /** Scores at 0, 5, 25, 50, 75, 95 and 100 %. Logs of versions before this field lack it. */
  readonly scoreQuantiles?: readonly number[]
  readonly weightMeanBySource: Readonly<Record<string, number>>
  /** Share of the weighted objective per source; sums to 1. */
  readonly massBySource: Readonly<Record<string, number>>
  /**
   * The same share with every gate weight 1, so that mass / uniform mass is the relative weight of a source: 1 where
   * nothing is weighted, whatever the batch held. Logs of versions before this field lack it.
   */
  readonly uniformMassBySource?: Readonly<Record<string, number>>
  readonly tokensPerSecond: number
  readonly stepMs: number
  /** The part of `stepMs` spent on the signal and the gate. */
  readonly signalMs: number
  /** Cumulative since the start of the run. */
  readonly flopsTrain: number
  /** Cumulative since the start of the run. */
  readonly flopsSignal: number
  /** True when the optimiser did not move (non-finite gradient, or no weight at all). */
  readonly skipped: boolean
}
