import { createHash } from 'node:crypto'
import { createRowStream, type Mixing, type RowCursor, type RowStream } from '../batch/index.js'
import type { RunConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { Artefact } from '../method/index.js'
import { keepSamples, type TokenDataset } from '../tokenize/index.js'
import type { RunInputs } from './open-inputs.js'

/** The inputs of a run in the order that they are trained in. */
export interface OrderedData extends RunInputs {
  /** All training data; `train` is what the method's preparation kept of it. */
  readonly pool: TokenDataset
  /** Shares that a method learnt before training go before those of the config. */
  readonly mixing: Mixing
  readonly rows: RowStream
  /** The same order from another place on. */
  rowsFrom(cursor: RowCursor): RowStream
  /** What the method's preparation left, by the indexes of `train`. */
  readonly artefact: Artefact
}

/**
 * Draws up the order of the training data: a function of the data, the config and what the method's preparation left.
 * @param key  Of the artefact; a place in the order means nothing under another.
 * @throws {DataError} NOTHING_KEPT when the preparation kept no sample, or none of a source that `data.mixing` names.
 */
export function orderData(config: RunConfig, inputs: RunInputs, whole: Artefact, key = ''): OrderedData {
  const { data, training } = config
  const { train, artefact } = keepOf(inputs.train, whole)
  const mixing = mixingOf(data.mixing, whole.share_G, inputs.train.sources, train.sources)
  const rowsFrom = (cursor?: RowCursor) =>
    createRowStream({
      dataset: train,
      seed: training.seed,
      maxLength: data.max_length,
      packing: data.packing,
      windowSize: Math.min(data.packing_window, 65_536),
      mixing,
      ...(cursor === undefined ? {} : { cursor }),
    })
  return {
    ...inputs,
    pool: inputs.train,
    train,
    fingerprints: {
      ...inputs.fingerprints,
      order: describeOrder(config, whole),
      ...(key === '' ? {} : { artefact: key }),
    },
    mixing,
    rows: rowsFrom(),
    rowsFrom,
    artefact,
  }
}

/** What is left of the pool, and the artefact by its indexes. */
function keepOf(
  pool: TokenDataset,
  artefact: Artefact,
): { readonly train: TokenDataset; readonly artefact: Artefact } {
  const { kept_P, score_P, tokenLoss, ...rest } = artefact
  if (kept_P === undefined) return { train: pool, artefact }
  const train = keepSamples(pool, (sample) => kept_P[sample] === 1)
  if (train.numLabels === 0) {
    throw new DataError(
      'NOTHING_KEPT',
      'method: no sample with labels is left of the training data; keep more of it',
    )
  }
  const inPool = (sample: number) => train.indexInWhole(sample)
  return {
    train,
    artefact: {
      ...rest,
      ...(score_P
        ? { score_P: Float32Array.from({ length: train.numSamples }, (_, i) => score_P[inPool(i)]!) }
        : {}),
      ...(tokenLoss ? { tokenLoss: { at: (sample: number) => tokenLoss.at(inPool(sample)) } } : {}),
    },
  }
}

/**
 * Learnt shares go before those of the config; sources of which nothing is left have none.
 * @throws {DataError} NOTHING_KEPT when the config gives a share to a source of which nothing is left.
 */
function mixingOf(
  mixing: Mixing,
  share_G: Float64Array | undefined,
  sources: readonly string[],
  left: readonly string[],
): Mixing {
  if (share_G === undefined) {
    const gone =
      typeof mixing === 'string' ? [] : sources.filter((name) => mixing[name] && !left.includes(name))
    if (gone.length === 0) return mixing
    throw new DataError(
      'NOTHING_KEPT',
      `data.mixing: the method kept no sample of "${printable(gone[0]!, 60)}", which has a share; keep more, or take the source out`,
    )
  }
  const shares = left.map((name) => [name, share_G[sources.indexOf(name)]!] as const)
  const total = shares.reduce((sum, [, share]) => sum + share, 0)
  return Object.fromEntries(shares.map(([name, share]) => [name, share / total]))
}

/**
 * What the order of the samples is a function of besides the samples, as JSON: a place in it means nothing under another. What a method
 * left out and shared out is part of it, whatever made it so; a preparation that did neither leaves the order as it is.
 */
function describeOrder({ data, training }: RunConfig, { kept_P, share_G }: Artefact): string {
  const { max_length, packing, packing_window, mixing, val_set_size } = data
  return JSON.stringify({
    ...{ seed: training.seed, max_length, packing, packing_window, mixing, val_set_size },
    ...(kept_P ? { kept: createHash('sha256').update(kept_P).digest('hex') } : {}),
    ...(share_G ? { shares: [...share_G] } : {}),
  })
}
