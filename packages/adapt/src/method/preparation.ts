/** P samples of the pool, G sources. */
import type { DType, Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import type { CausalLM } from '../model/index.js'
import type { SpecialIds, TokenDataset, Tokenizer } from '../tokenize/index.js'
import type { MethodConfig } from './method-config.js'

/** What preparation leaves. Stored under the hash of data, model, tokenizer, version and the options that made it. */
export interface Artefact {
  /** Score by dense index of the pool; NaN is refused. */
  readonly score_P?: Float32Array
  /** 1 for the samples of the pool that may be trained on; absent: all. */
  readonly kept_P?: Uint8Array
  /** Share by source, sums to 1. */
  readonly share_G?: Float64Array
  /** Token losses of a reference, or another statistic of its tokens: float32 of the labelled positions of a sample in their order. */
  readonly tokenLoss?: { at(index: number): Float32Array }
  /** Other numbers that the signal's `rescoring` goes on from, by name. */
  readonly numbers?: Readonly<Record<string, Float32Array>>
  /** Figures worth a line in the event log. */
  readonly figures?: Readonly<Record<string, number>>
}

/** The artefact of a method that prepares nothing. */
export const NO_ARTEFACT: Artefact = {}

/** A method of the list with the options of its parts that differ, in snake_case. */
export type ProxyMethod = Pick<MethodConfig, 'preset'> & {
  readonly signal?: Readonly<Record<string, unknown>>
  readonly gate?: Readonly<Record<string, unknown>>
}

/** A run by the same trainer, in a folder of its own under the cache; it goes on where it was interrupted. */
export interface ProxyRun {
  readonly name: string
  /** A method's id, or a method as a config writes it; what is missing is filled in. */
  readonly method: string | ProxyMethod
  /** Share of the main run's optimiser steps, > 0; at least one step. */
  readonly steps: number
  /** What of it, by index in the pool or, of the anchors, by place among them; default all. */
  readonly keep?: (index: number) => boolean
  /** Sampling of sources; default that of the config. */
  readonly shares?: Float64Array
  /** Checkpoints that are kept, as shares of its steps in (0, 1]; default [1]. */
  readonly checkpointsAt?: readonly number[]
  /** Any checkpoint of a run of the config can stand in for it where nothing may be trained. Default false. */
  readonly isEarlyRun?: boolean
  /** What it trains on: the pool, or the anchors, whole and in an order of their own. Default pool. */
  readonly data?: 'pool' | 'anchors'
  /** An adapter of its own, which alone is trained, on the model of the config at its start. */
  readonly adapter?: {
    readonly r: number
    readonly alpha: number
    readonly dropout: number
    readonly targetModules: readonly string[]
  }
  /** A constant learning rate without weight decay, over steps of so many rows. Default: the optimiser of the config. */
  readonly optimiser?: { readonly learningRate: number; readonly batchSize: number }
  /** The model of the config at its start, or a smaller one from scratch. Default same. */
  readonly model?: 'same' | { readonly preset: string }
  /** Earlier artefacts that its method may read, such as a reference's token losses. */
  readonly artefact?: Artefact
}

/** What a proxy run leaves. */
export interface ProxyResult {
  readonly checkpoints: readonly {
    readonly folder: string
    /** Mean learning rate since the checkpoint before. */
    readonly learningRate: number
  }[]
  /** The last event of each kind that its method reported: its fields. */
  readonly lastEvents: ReadonlyMap<string, Readonly<Record<string, unknown>>>
}

/** What makes tokens of text. */
export type TextTokenizer = Pick<Tokenizer, 'vocabSize' | 'startId' | 'eosId' | 'encodeBatch' | 'folder'>

/** Adam's moments as a checkpoint has them, and where 1e-8 stands in the direction that they give a gradient: in the root or beside it. */
export interface AdamMoments {
  readonly folder: string
  readonly epsMode: 'inside' | 'outside'
}

/** Of a token under a model. loss: nats. mass: its probability and that of all less likely tokens, in (0, 1]. */
export type TokenStatistic = 'loss' | 'mass'

/** What a signal's `prepare` works with. All of it is resumable: what is done is not done again after a kill. */
export interface PreparationTools {
  /** The pool: the training data before anything is left out. */
  readonly data: TokenDataset
  readonly anchors: readonly Batch[]
  /** The anchors as they stand in their files. */
  readonly anchorDocuments: readonly Document[]
  /**
   * Text of samples, as the model reads it; `prompt` is what comes before the first label.
   * @param indexes  Default the pool in dense order.
   */
  texts(
    indexes?: readonly number[],
  ): AsyncIterable<{ readonly index: number; readonly text: string; readonly prompt: string }>
  /** Text of tokens, specials left out. */
  decode(tokens: ArrayLike<number>): Promise<string>
  /** Ids of the tokens that stand at the start and at the end of samples. */
  readonly specials: SpecialIds
  /** The tokenizer of a model's folder; that of the run for one without, and for the model of the config. */
  tokenizerOf(folder: string | undefined): TextTokenizer
  readonly seed: number
  /** Of matrix products while training; undefined: float32. */
  readonly autocastDtype: DType | undefined
  /** Optimiser steps of the main run. */
  readonly totalSteps: number
  /** Whether the main run and its proxies compute activations again in the backward. */
  readonly recompute: boolean
  /** How often the main run reads the pool; where it draws more than it trains, how often it trains as much. */
  readonly passes: number
  /** Trains a proxy, or finds what it left. */
  train(run: ProxyRun): Promise<ProxyResult>
  /**
   * Trains proxies for some numbers of their models at the end, and keeps those alone: they are found again, the proxies are not. Several ranks
   * train each other ones.
   * @param name  Of these numbers among those of the artefact.
   * @param of  Is given a model in evaluation mode. What it charges is found again with the numbers.
   */
  measureEach(
    name: string,
    runs: readonly ProxyRun[],
    of: (model: CausalLM) => Promise<Float32Array>,
  ): Promise<Float32Array[]>
  /**
   * Folder of a model that the config names, relative to the config's own or on the hub.
   * @param key  Of the config, for the message.
   * @throws {ConfigError} NO_MODEL without weights there.
   */
  modelFolder(path: string, key: string): string
  /**
   * Calls `use` with a frozen model in evaluation mode and frees it afterwards.
   * @param folder  Undefined: the model of the config at its start.
   * @param tokenizer  Of the tokens that it will read; it must have a row for each of them. Default that of the run.
   */
  withModel<T>(
    folder: string | undefined,
    use: (model: CausalLM) => Promise<T>,
    tokenizer?: TextTokenizer,
  ): Promise<T>
  /**
   * Gradient of one sample's mean loss over the trained parameters, flat float32 [p] in the order in which the optimiser keeps them; with
   * `moments` Adam's direction. Valid until the next call, and as long as the model of `withModel`.
   */
  sampleGradient(model: CausalLM, batch: Batch, moments?: AdamMoments): Tensor
  /** Every sample of the pool, in batches of like length. */
  pool(batchSize: number): AsyncIterable<Batch>
  /** Some samples of the pool, in batches of like length. */
  samples(indexes: readonly number[], batchSize: number): AsyncIterable<Batch>
  /** Whether a sample is of the share of the pool that is scored: `SignalDefinition.scoresPart`. */
  isScored(index: number): boolean
  /**
   * Values by dense index that are computed once; -Infinity for samples that are not scored: chunks of the pool are stored as they are done, and a killed preparation goes on behind them.
   * @param name  Of this part of the artefact.
   * @param width  Numbers a sample.
   * @param compute  float32 [samples * width] of the samples with these indexes.
   */
  byChunk(
    name: string,
    width: number,
    compute: (indexes: readonly number[]) => Promise<Float32Array>,
  ): Promise<Float32Array>
  /**
   * Token losses of the pool under a frozen model, stored as they are done; 2N FLOPs per token.
   * @param keep  Samples that they are computed of; asking for those of another is an error. Default: those that are scored.
   * @param statistic  Default loss.
   */
  tokenLosses(
    name: string,
    folder: string | undefined,
    keep?: (index: number) => boolean,
    statistic?: TokenStatistic,
  ): Promise<NonNullable<Artefact['tokenLoss']>>
  /** What one rank computes, as plain data, on all of them: for numbers that decide what all do next. */
  onFirst<T>(work: () => Promise<T>): Promise<T>
  /** Charges FLOPs to preparation; forwards of `withModel` are the caller's to charge. */
  charge(flops: number): void
  /** A line on what is done. */
  progress(done: number, total: number, what: string): void
  /** A line on what the user should know of the result. */
  warn(message: string): void
}
