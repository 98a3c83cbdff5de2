import { createPermutation } from './permute-index.js'
import { type MixedDataset, type Mixing, planMixing } from './plan-mixing.js'

/** The samples of an epoch in order, before packing; an epoch has `numSamples` places. */
export interface SampleOrder {
  /** Samples at the places `first` to `first + size - 1` of an epoch. */
  at(epoch: number, first: number, size: number): readonly number[]
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
  return mixing === 'natural' ? naturalOrder(dataset.numSamples, seed) : mixedOrder(dataset, seed, mixing)
}

function naturalOrder(numSamples: number, seed: number): SampleOrder {
  return {
    at(epoch, first, size) {
      const permute = createPermutation({ seed, epoch, numSamples })
      return Array.from({ length: size }, (_, i) => permute(first + i))
    },
  }
}

interface Draw {
  readonly time: number
  readonly source: number
  /** Samples of its source before it. */
  readonly rank: number
}

function mixedOrder(dataset: MixedDataset, seed: number, mixing: Mixing): SampleOrder {
  const plan = planMixing(dataset, mixing)
  const samplesOf = samplesBySource(
    dataset,
    plan.map(({ numSamples }) => numSamples),
  )
  const active = plan.flatMap(({ sampleShare }, source) => (sampleShare > 0 ? [{ source, sampleShare }] : []))
  return {
    at(epoch, first, size) {
      const start = epoch * dataset.numSamples + first
      // A time by which at most `start` samples are due: rounding adds at most half a sample for each source.
      const from = Math.max(0, start - active.length)
      const to = start + size + active.length
      let numBefore = 0
      const draws: Draw[] = []
      for (const { source, sampleShare } of active) {
        const dueAt = (rank: number): number => (rank + 0.5) / sampleShare
        let rank = Math.max(0, Math.floor(from * sampleShare) - 1)
        while (dueAt(rank) < from) rank += 1
        numBefore += rank
        for (; dueAt(rank) < to; rank++) draws.push({ time: dueAt(rank), source, rank })
      }
      draws.sort((a, b) => a.time - b.time || a.source - b.source)
      const skipped = start - numBefore
      return draws.slice(skipped, skipped + size).map(createReader(samplesOf, seed))
    },
  }
}

/** The sample of a draw. Permutations are kept for the draws of one window. */
function createReader(samplesOf: readonly Uint32Array[], seed: number): (draw: Draw) => number {
  const permutations = new Map<string, (i: number) => number>()
  return ({ source, rank }) => {
    const samples = samplesOf[source]!
    const pass = Math.floor(rank / samples.length)
    const key = `${source} ${pass}`
    let permute = permutations.get(key)
    if (permute === undefined) {
      const stream = FIRST_SOURCE_STREAM + source
      permute = createPermutation({ seed, epoch: pass, numSamples: samples.length, stream })
      permutations.set(key, permute)
    }
    return samples[permute(rank % samples.length)]!
  }
}

/** The samples of each source, ascending: 4 bytes a sample. */
function samplesBySource(dataset: MixedDataset, counts: readonly number[]): Uint32Array[] {
  const samplesOf = counts.map((count) => new Uint32Array(count))
  const filled = counts.map(() => 0)
  for (let i = 0; i < dataset.numSamples; i++) {
    const source = dataset.sourceIndex(i)
    samplesOf[source]![filled[source]!++] = i
  }
  return samplesOf
}
