import { createPermutation } from './permute-index.js'
import { type MixedDataset, type Mixing, planMixing } from './plan-mixing.js'

/** The samples of an epoch in order, before packing; an epoch has `numSamples` places. */
export interface SampleOrder {
  /** Samples at the places `first` to `first + size - 1` of an epoch. */
  at(epoch: number, first: number, size: number): readonly number[]
  /** Samples of each source before a place, over all epochs. */
  drawnBefore(epoch: number, first: number): readonly number[]
}

/** Apart from the streams of a window's rows, which are 1 and up. */
const FIRST_SOURCE_STREAM = 2 ** 32

/**
 * The order of samples: a function of (seed, epoch, place) and of the dataset.
 *
 * `natural` is a keyed permutation of all samples. The others give each source its own sequence of passes, each a keyed
 * permutation of its samples, and merge the sequences: with q_s the source's share of the samples read, its k-th
 * sample (from 0, over all epochs) is due at time (k + 1/2) / q_s, and samples come in the order of their times, ties in
 * the order of sources. After any number of samples n, a source has had q_s n of them within
 * 1/2 + q_s S / 2, S sources. `stratified` takes the natural q_s, so that every epoch is one pass of every source.
 *
 * @throws what `planMixing` throws.
 */
export function createSampleOrder(dataset: MixedDataset, seed: number, mixing: Mixing): SampleOrder {
  return mixing === 'natural' ? naturalOrder(dataset, seed) : mixedOrder(dataset, seed, mixing)
}

function naturalOrder(dataset: MixedDataset, seed: number): SampleOrder {
  const { numSamples, sources } = dataset
  const at: SampleOrder['at'] = (epoch, first, size) => {
    const permute = createPermutation({ seed, epoch, numSamples })
    return Array.from({ length: size }, (_, i) => permute(first + i))
  }
  return {
    at,
    drawnBefore(epoch, first) {
      const drawn = sources.map(() => 0)
      for (let i = 0; i < numSamples; i++) drawn[dataset.sourceIndex(i)]! += epoch
      for (const sample of at(epoch, 0, first)) drawn[dataset.sourceIndex(sample)]! += 1
      return drawn
    },
  }
}

/** A sample by its place in the sequence of its source. */
export interface Draw {
  readonly source: number
  /** Samples of its source before it, over all passes. */
  readonly rank: number
}

function mixedOrder(dataset: MixedDataset, seed: number, mixing: Mixing): SampleOrder {
  const plan = planMixing(dataset, mixing)
  const samplesOf = samplesBySource(dataset)
  const active = plan.flatMap(({ sampleShare }, source) => (sampleShare > 0 ? [{ source, sampleShare }] : []))
  /** What is drawn from a place on, and before it. */
  const drawsAt = (epoch: number, first: number, size: number) => {
    const start = epoch * dataset.numSamples + first
    // A time by which at most `start` samples are due: rounding adds at most half a sample for each source.
    const from = Math.max(0, start - active.length)
    const to = start + size + active.length
    const numBefore = plan.map(() => 0)
    const draws: (Draw & { readonly time: number })[] = []
    for (const { source, sampleShare } of active) {
      const dueAt = (rank: number): number => (rank + 0.5) / sampleShare
      let rank = Math.max(0, Math.floor(from * sampleShare) - 1)
      while (dueAt(rank) < from) rank += 1
      numBefore[source] = rank
      for (; dueAt(rank) < to; rank++) draws.push({ time: dueAt(rank), source, rank })
    }
    draws.sort((a, b) => a.time - b.time || a.source - b.source)
    const skipped = start - numBefore.reduce((a, b) => a + b, 0)
    return { numBefore, before: draws.slice(0, skipped), draws: draws.slice(skipped, skipped + size) }
  }
  return {
    at: (epoch, first, size) => drawsAt(epoch, first, size).draws.map(createSourceReader(samplesOf, seed)),
    drawnBefore(epoch, first) {
      const { numBefore, before } = drawsAt(epoch, first, 0)
      for (const { source } of before) numBefore[source]! += 1
      return numBefore
    },
  }
}

/** Reads samples by source, in passes that are keyed permutations; keeps the last pass of each source. */
export function createSourceReader(samplesOf: readonly Uint32Array[], seed: number): (draw: Draw) => number {
  const passes = new Map<number, { readonly pass: number; readonly permute: (i: number) => number }>()
  return ({ source, rank }) => {
    const samples = samplesOf[source]!
    const pass = Math.floor(rank / samples.length)
    let current = passes.get(source)
    if (current?.pass !== pass) {
      const stream = FIRST_SOURCE_STREAM + source
      const permute = createPermutation({ seed, epoch: pass, numSamples: samples.length, stream })
      current = { pass, permute }
      passes.set(source, current)
    }
    return samples[current.permute(rank % samples.length)]!
  }
}

/** The samples of each source, ascending: 4 bytes a sample. */
export function samplesBySource(dataset: MixedDataset): Uint32Array[] {
  const counts = dataset.sources.map(() => 0)
  for (let i = 0; i < dataset.numSamples; i++) counts[dataset.sourceIndex(i)]! += 1
  const samplesOf = counts.map((count) => new Uint32Array(count))
  const filled = counts.map(() => 0)
  for (let i = 0; i < dataset.numSamples; i++) {
    const source = dataset.sourceIndex(i)
    samplesOf[source]![filled[source]!++] = i
  }
  return samplesOf
}
