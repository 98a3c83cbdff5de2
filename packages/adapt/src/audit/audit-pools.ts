/** n samples that were drawn, V anchors. */
import { type Batch, buildBatch, createPermutation } from '../batch/index.js'
import type { Document } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { RunInputs } from '../open/index.js'
import { firstPieces, type TokenDataset, tokenizeDocuments } from '../tokenize/index.js'
import { JoinedDataset, type SamplePlace } from './joined-dataset.js'

/** Tell the draws of an audit from those of a run. */
const SAMPLE_STREAM = 245
const HALVES_STREAM = 24
/** Rows of a batch of anchors, as a run has them. */
const ANCHOR_ROWS = 16
/** Fewer in a half tell nothing of the other. */
const MIN_ANCHORS = 4

/** Samples that a signal scores, and the anchors that it compares them with. */
export interface AuditPool {
  /** The samples that were drawn, the same in every pool, and behind them anchors that it does not compare with. */
  readonly dataset: JoinedDataset
  readonly anchors: readonly Batch[]
  readonly anchorDocuments: readonly Document[]
  /** Places of its anchors among all. */
  readonly comparedWith: readonly number[]
  /** Places among all of the anchors in the dataset, in its order. */
  readonly heldOut: readonly number[]
}

/** The pools of an audit. */
export interface AuditPools {
  /** Samples that were drawn, at the start of each pool. */
  readonly numDrawn: number
  readonly numAnchors: number
  /** All anchors compare. */
  readonly whole: AuditPool
  /** Half of them compare, and the other half is scored. */
  readonly halves: readonly [AuditPool, AuditPool]
  /** All anchors compare and are scored: for signals that look at no anchor. */
  readonly open: AuditPool
  /** The anchors alone. */
  readonly anchors: TokenDataset
}

/**
 * Draws samples with labels by a seed, and halves the anchors.
 * @throws {ConfigError} TOO_FEW_ANCHORS, TOO_FEW_SAMPLES.
 */
export async function drawPools(
  { train, anchorDocuments, tokenizer, padId }: RunInputs,
  { count, seed, maxLength }: { readonly count: number; readonly seed: number; readonly maxLength: number },
): Promise<AuditPools> {
  const placeOf = createPermutation({ seed, epoch: 0, numSamples: train.numSamples, stream: SAMPLE_STREAM })
  const drawn: SamplePlace[] = []
  for (let i = 0; i < train.numSamples && drawn.length < count; i++) {
    const index = placeOf(i)
    if (train.labelCount(index) > 0) drawn.push({ dataset: train, index })
  }
  if (drawn.length < 8)
    throw new ConfigError(
      'TOO_FEW_SAMPLES',
      `data.train: expected at least 8 samples with labels to audit with, received ${drawn.length}`,
    )
  const tokenized = await tokenizeDocuments(anchorDocuments, tokenizer, maxLength)
  // An anchor longer than a sample is its first piece, as in a run.
  const anchors = new JoinedDataset(firstPieces(tokenized).map((index) => ({ dataset: tokenized, index })))
  const V = anchors.numSamples
  if (V < MIN_ANCHORS)
    throw new ConfigError(
      'TOO_FEW_ANCHORS',
      `anchors: expected at least ${MIN_ANCHORS} to compare one half with the other, received ${V}`,
    )
  const half = createPermutation({ seed, epoch: 0, numSamples: V, stream: HALVES_STREAM })
  const all = Array.from({ length: V }, (_, v) => v)
  const isFirst = (v: number) => half(v) < V / 2
  const poolOf = (comparedWith: readonly number[], heldOut: readonly number[]): AuditPool => ({
    dataset: new JoinedDataset([...drawn, ...heldOut.map((index) => ({ dataset: anchors, index }))]),
    anchors: batchesOf(anchors, comparedWith, ANCHOR_ROWS, padId),
    anchorDocuments: comparedWith.map((v) => anchorDocuments[v]!),
    comparedWith,
    heldOut,
  })
  const [first, second] = [all.filter(isFirst), all.filter((v) => !isFirst(v))]
  return {
    numDrawn: drawn.length,
    numAnchors: V,
    whole: poolOf(all, []),
    halves: [poolOf(first, second), poolOf(second, first)],
    open: poolOf(all, all),
    anchors,
  }
}

/** Samples one a row, those of like length together. */
export function batchesOf(
  dataset: TokenDataset,
  indexes: readonly number[],
  rows: number,
  padId: number,
): Batch[] {
  const sorted = [...indexes].sort((a, b) => dataset.length(a) - dataset.length(b) || a - b)
  return Array.from({ length: Math.ceil(sorted.length / rows) }, (_, b) =>
    buildBatch(
      sorted.slice(b * rows, (b + 1) * rows).map((i) => [i]),
      dataset,
      { padId, packing: false },
    ),
  )
}
