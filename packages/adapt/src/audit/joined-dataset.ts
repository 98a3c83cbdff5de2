import { CountedDataset } from '../tokenize/dataset-counts.js'
import type { SampleOrigin, TokenDataset, TokenizedSample } from '../tokenize/index.js'

/** A sample and where it is. */
export interface SamplePlace {
  readonly dataset: TokenDataset
  readonly index: number
}

/** A few samples of several datasets as one, under indexes of their own; each sample is a document. */
export class JoinedDataset extends CountedDataset implements TokenDataset {
  readonly fingerprint = 'joined'
  readonly sources: readonly string[]
  readonly notes: TokenDataset['notes']
  readonly #places: readonly SamplePlace[]
  readonly #source: Int32Array

  /** @param places  At least one. */
  constructor(places: readonly SamplePlace[]) {
    const sum = (of: (place: SamplePlace) => number) => places.reduce((total, place) => total + of(place), 0)
    super({
      numSamples: places.length,
      numTokens: sum(({ dataset, index }) => dataset.length(index)),
      numLabels: sum(({ dataset, index }) => dataset.labelCount(index)),
      numUnlabelled: sum(({ dataset, index }) => (dataset.labelCount(index) === 0 ? 1 : 0)),
      numDocuments: places.length,
      ...{ numTruncated: 0, numChats: 0, numResponses: 0, numLostResponses: 0 },
    })
    const names = places.map(({ dataset, index }) => dataset.sources[dataset.sourceIndex(index)]!)
    this.sources = [...new Set(names)]
    this.#source = Int32Array.from(names, (name) => this.sources.indexOf(name))
    this.#places = places
    this.notes = places[0]!.dataset.notes
  }

  sample(index: number): TokenizedSample {
    const { dataset, index: at } = this.#at(index)
    return { ...dataset.sample(at), index }
  }

  origin(index: number): SampleOrigin {
    const { dataset, index: at } = this.#at(index)
    return { ...dataset.origin(at), index }
  }

  length(index: number): number {
    const { dataset, index: at } = this.#at(index)
    return dataset.length(at)
  }

  labelCount(index: number): number {
    const { dataset, index: at } = this.#at(index)
    return dataset.labelCount(at)
  }

  sourceIndex(index: number): number {
    return this.#source[index]!
  }

  documentIndex(index: number): number {
    return index
  }

  /** The datasets are closed by who opened them. */
  close(): void {}

  #at(index: number): SamplePlace {
    const place = this.#places[index]
    if (place === undefined)
      throw new RangeError(`sample ${index}: expected an index in 0..${this.numSamples - 1}`)
    return place
  }
}
