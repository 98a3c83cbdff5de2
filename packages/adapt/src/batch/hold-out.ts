import { ConfigError } from '../errors.js'
import { selectDocuments, type TokenDataset } from '../tokenize/index.js'
import { createPermutation } from './permute-index.js'

/** Apart from the streams of windows and sources (see `createRowStream`). */
const HOLD_OUT_STREAM = 2 ** 40

/** Training data in two parts that share no document. */
export interface HeldOut {
  readonly train: TokenDataset
  /** Absent without `valSetSize`. */
  readonly validation?: TokenDataset
}

/**
 * Takes documents out of the training data: those with the first places of a keyed permutation of all documents, so
 * which ones is a function of the data and the seed alone. All pieces of a document stay on one side.
 *
 * @param valSetSize  Share of the documents in (0, 1), or their number.
 * @throws {ConfigError} VAL_SET_TOO_LARGE when no document would be left to train on; VAL_SET_UNTRAINED when one of the
 *   parts would have no trained token.
 */
export function holdOut(dataset: TokenDataset, valSetSize: number | undefined, seed: number): HeldOut {
  if (valSetSize === undefined) return { train: dataset }
  const { numDocuments } = dataset
  const count = valSetSize < 1 ? Math.max(1, Math.round(valSetSize * numDocuments)) : valSetSize
  if (count >= numDocuments) {
    throw new ConfigError(
      'VAL_SET_TOO_LARGE',
      `data.val_set_size: expected fewer than the ${numDocuments} documents of data.train, received ${count}`,
      { count, numDocuments },
    )
  }
  const place = createPermutation({ seed, epoch: 0, numSamples: numDocuments, stream: HOLD_OUT_STREAM })
  const isHeldOut = new Uint8Array(numDocuments).map((_, document) => (place(document) < count ? 1 : 0))
  const train = selectDocuments(dataset, (document) => isHeldOut[document] === 0)
  const validation = selectDocuments(dataset, (document) => isHeldOut[document] === 1)
  for (const [part, name] of [
    [train, 'training'],
    [validation, 'held-out'],
  ] as const) {
    if (part.numLabels === 0) {
      throw new ConfigError(
        'VAL_SET_UNTRAINED',
        `data.val_set_size: the ${name} part (${part.numDocuments} documents) has no trained token; choose another size`,
      )
    }
  }
  return { train, validation }
}
