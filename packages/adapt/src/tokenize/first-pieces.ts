import type { TokenDataset } from './token-dataset.js'

/** Indexes of the first sample of each document, in dense order; a record that stands in several entries is one document. */
export function firstPieces(dataset: Pick<TokenDataset, 'numSamples' | 'origin'>): number[] {
  const seen = new Set<string>()
  return Array.from({ length: dataset.numSamples }, (_, i) => i).filter((i) => {
    const { path, line } = dataset.origin(i)
    const place = `${path}:${line}`
    return !seen.has(place) && seen.add(place)
  })
}
