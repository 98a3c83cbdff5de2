import { CountedDataset } from './dataset-counts.js'
import type { SampleOrigin, TokenDataset, TokenizedSample } from './token-dataset.js'

/**
 * A view of the samples of some documents, in their order: indices are dense again, from 0, and only sources that
 * still have a sample are named. Costs four bytes a sample. The fingerprint and the notes are those of the whole.
 *
 * @param isSelected  Asked once per sample, with the number of its document.
 */
export function selectDocuments(
  dataset: TokenDataset,
  isSelected: (document: number) => boolean,
): TokenDataset {
  return keepSamples(dataset, (sample) => isSelected(dataset.documentIndex(sample)))
}

/** A view of some samples in their order, as `selectDocuments` makes one of documents. @param isSelected  Asked once per sample. */
export function keepSamples(dataset: TokenDataset, isSelected: (sample: number) => boolean): SelectedDataset {
  let size = 0
  const all = new Uint32Array(dataset.numSamples)
  for (let i = 0; i < dataset.numSamples; i++) if (isSelected(i)) all[size++] = i
  return new SelectedDataset(dataset, all.slice(0, size))
}

/** Some samples of a whole. */
export class SelectedDataset extends CountedDataset implements TokenDataset {
  readonly fingerprint: string
  readonly sources: readonly string[]
  readonly notes: TokenDataset['notes']
  readonly #whole: TokenDataset
  readonly #indices: Uint32Array
  /** Number of a source here by its number in the whole. */
  readonly #sourceOf: ReadonlyMap<number, number>

  constructor(whole: TokenDataset, indices: Uint32Array) {
    const sourceOf = new Map<number, number>()
    const documents = new Set<number>()
    let [numTokens, numLabels, numUnlabelled] = [0, 0, 0]
    for (const i of indices) {
      const source = whole.sourceIndex(i)
      if (!sourceOf.has(source)) sourceOf.set(source, sourceOf.size)
      documents.add(whole.documentIndex(i))
      numTokens += whole.length(i)
      numLabels += whole.labelCount(i)
      numUnlabelled += whole.labelCount(i) === 0 ? 1 : 0
    }
    // Which samples lost tokens, and how many responses they have, is not kept.
    const { numTruncated, numChats, numResponses, numLostResponses } = whole
    super({
      numSamples: indices.length,
      numTokens,
      numLabels,
      numUnlabelled,
      numDocuments: documents.size,
      numTruncated,
      numChats,
      numResponses,
      numLostResponses,
    })
    this.#sourceOf = sourceOf
    this.#whole = whole
    this.#indices = indices
    this.fingerprint = whole.fingerprint
    this.sources = Array.from(sourceOf.keys(), (source) => whole.sources[source]!)
    this.notes = whole.notes
  }

  /** Index in the whole of a sample here. @throws {RangeError} for an index outside 0..numSamples-1. */
  indexInWhole(index: number): number {
    return this.#at(index)
  }

  sample(index: number): TokenizedSample {
    return { ...this.#whole.sample(this.#at(index)), index }
  }

  origin(index: number): SampleOrigin {
    return { ...this.#whole.origin(this.#at(index)), index }
  }

  length(index: number): number {
    return this.#whole.length(this.#at(index))
  }

  labelCount(index: number): number {
    return this.#whole.labelCount(this.#at(index))
  }

  sourceIndex(index: number): number {
    return this.#sourceOf.get(this.#whole.sourceIndex(this.#at(index)))!
  }

  documentIndex(index: number): number {
    return this.#whole.documentIndex(this.#at(index))
  }

  close(): void {
    this.#whole.close()
  }

  #at(index: number): number {
    const at = this.#indices[index]
    if (at === undefined) {
      throw new RangeError(`sample ${index}: expected an index in 0..${this.numSamples - 1}`)
    }
    return at
  }
}
