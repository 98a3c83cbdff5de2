/** P samples. */
import { createStream } from '../batch/index.js'
import type { TokenDataset } from '../tokenize/index.js'

/** Of the numbers that decide which samples a random share has. */
const STREAM = 23

/**
 * A number for each sample, uniform in [0, 1): a function of the seed and of what the sample is called alone, so that other samples, and the
 * order in which files are read, do not matter. Samples of one name in one file are told apart by their order.
 *
 * @param stream  Other streams give numbers that have nothing to do with these.
 * @returns float64 [P].
 */
export function sampleKeys(
  data: Pick<TokenDataset, 'numSamples' | 'origin'>,
  seed: number,
  stream = STREAM,
): Float64Array {
  const key_P = Float64Array.from({ length: data.numSamples }, (_, index) =>
    keyOf(nameOf(data, index), [seed, stream, 0]),
  )
  const repeated = repeatedValues(key_P)
  // A data set that gives all its records one id must not be cut at a place in its order.
  const copies = new Map<string, number>()
  for (let index = 0; repeated.size > 0 && index < key_P.length; index++) {
    if (!repeated.has(key_P[index]!)) continue
    const name = nameOf(data, index)
    const copy = copies.get(name) ?? 0
    copies.set(name, copy + 1)
    if (copy > 0) key_P[index] = keyOf(name, [seed, stream, copy])
  }
  return key_P
}

function nameOf(data: Pick<TokenDataset, 'origin'>, index: number): string {
  const { path, id } = data.origin(index)
  return `${path}\0${id}`
}

function keyOf(name: string, seeds: readonly number[]): number {
  const next = createStream([...seeds, ...codeUnits(name)])
  return (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53
}

function codeUnits(name: string): number[] {
  return Array.from({ length: name.length }, (_, i) => name.charCodeAt(i))
}

function repeatedValues(values: Float64Array): ReadonlySet<number> {
  const sorted = values.slice().sort()
  return new Set(sorted.filter((value, i) => i > 0 && value === sorted[i - 1]))
}
