import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { type MixedDataset, mixingWarnings, planMixing } from './plan-mixing.js'
import type { OrderCursor, RowCursor } from './row-cursor.js'
import { createRowStream, type RowStreamOptions } from './row-stream.js'
import { createSampleOrder } from './sample-order.js'

/** Samples whose source and length are given by a letter and a number each: `a5 b3`. */
const datasetOf = (text: string): MixedDataset => {
  const samples = text.split(' ')
  const sources = [...new Set(samples.map((s) => s[0]!))]
  return {
    numSamples: samples.length,
    length: (i) => Number(samples[i]!.slice(1)),
    sources,
    sourceIndex: (i) => sources.indexOf(samples[i]![0]!),
  }
}

/** 60 samples of a (mean length 6), 30 of b (4), 10 of c (20), mixed up. */
const DATASET = datasetOf(
  Array.from({ length: 100 }, (_, i) => {
    const k = (i * 37) % 100
    if (k < 60) return `a${k % 2 === 0 ? 3 : 9}`
    return k < 90 ? `b${k % 2 === 0 ? 3 : 5}` : `c${k % 2 === 0 ? 18 : 22}`
  }).join(' '),
)

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return `${(error as AdaptError).code} ${(error as AdaptError).message}`
  }
  throw new Error('expected an error')
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** The first samples of a run, over epochs. */
function read(mixing: Parameters<typeof createSampleOrder>[2], count: number, dataset = DATASET): number[] {
  const order = createSampleOrder(dataset, 5, mixing)
  return range(Math.ceil(count / dataset.numSamples))
    .flatMap((epoch) => order.at(epoch, 0, dataset.numSamples))
    .slice(0, count)
}

describe('the natural order', () => {
  it('is the one that earlier runs had', () => {
    expect(createSampleOrder(DATASET, 5, 'natural').at(0, 0, 12)).toEqual(NATURAL_EPOCH_0)
    expect(createSampleOrder(DATASET, 5, 'natural').at(1, 90, 5)).toEqual(NATURAL_EPOCH_1)
  })
})

describe('the stratified order', () => {
  it('gives every sample once per epoch, in another order each time', () => {
    const epochs = range(3).map((e) => createSampleOrder(DATASET, 5, 'stratified').at(e, 0, 100))
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(range(100))
    expect(new Set(epochs.map(String)).size).toBe(3)
  })

  it('has each source in its natural proportion after any number of samples', () => {
    const counts = [0, 0, 0]
    for (const [n, sample] of read('stratified', 300).entries()) {
      counts[DATASET.sourceIndex(sample)]! += 1
      for (const { source, numSamples } of planMixing(DATASET, 'natural')) {
        const expected = ((n + 1) * numSamples) / 100
        expect(Math.abs(counts[DATASET.sources.indexOf(source)]! - expected)).toBeLessThanOrEqual(1.5)
      }
    }
  })
})

describe('an order with ratios', () => {
  const ratios = { a: 1, b: 2, c: 1 }

  it('reads the wanted shares of tokens, exactly when whole passes are done', () => {
    const plan = planMixing(DATASET, ratios)
    expect(Object.fromEntries(plan.map(({ source, share }) => [source, share]))).toEqual({
      a: 0.25,
      b: 0.5,
      c: 0.25,
    })
    const tokens = new Map<string, number>()
    let sum = 0
    for (const sample of read(ratios, 20_000)) {
      const source = DATASET.sources[DATASET.sourceIndex(sample)]!
      tokens.set(source, (tokens.get(source) ?? 0) + DATASET.length(sample))
      sum += DATASET.length(sample)
    }
    for (const { source, share } of plan) expect(tokens.get(source)! / sum).toBeCloseTo(share, 2)
  })

  it('keeps every prefix within rounding of the shares of samples', () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.integer({ min: 0, max: 50 }), { minLength: 3, maxLength: 3 })
          .filter((s) => s.some((n) => n > 0)),
        ([a, b, c]) => {
          const mixing = { a: a!, b: b!, c: c! }
          const shares = new Map(planMixing(DATASET, mixing).map((p) => [p.source, p.sampleShare]))
          const counts = new Map<string, number>()
          for (const [n, sample] of read(mixing, 250).entries()) {
            const source = DATASET.sources[DATASET.sourceIndex(sample)]!
            counts.set(source, (counts.get(source) ?? 0) + 1)
            for (const [name, share] of shares) {
              const bound = 0.5 + (share * 3) / 2 + 1e-9
              expect(Math.abs((counts.get(name) ?? 0) - share * (n + 1))).toBeLessThanOrEqual(bound)
            }
          }
        },
      ),
      { seed: 4, numRuns: 60 },
    )
  })

  it('repeats no sample before its source is read whole, and shuffles each pass anew', () => {
    const bySource = new Map<number, number[]>()
    for (const sample of read(ratios, 1000)) {
      const source = DATASET.sourceIndex(sample)
      bySource.set(source, [...(bySource.get(source) ?? []), sample])
    }
    for (const [source, samples] of bySource) {
      const size = range(100).filter((i) => DATASET.sourceIndex(i) === source).length
      const passes = range(Math.floor(samples.length / size)).map((p) =>
        samples.slice(p * size, (p + 1) * size),
      )
      expect(passes.length).toBeGreaterThan(2)
      for (const pass of passes) expect(new Set(pass).size).toBe(size)
      expect(new Set(passes.map(String)).size).toBe(passes.length)
    }
  })

  it('takes any place of any epoch for itself', () => {
    for (const mixing of [ratios, 'stratified'] as const) {
      const order = createSampleOrder(DATASET, 5, mixing)
      const all = read(mixing, 300)
      for (let place = 0; place < 300; place += 7) {
        const first = place % 100
        const size = Math.min(13, 100 - first)
        expect(order.at(Math.floor(place / 100), first, size)).toEqual(all.slice(place, place + size))
      }
    }
  })

  it('reads nothing of a source that is left out, and says so', () => {
    const plan = planMixing(DATASET, { b: 5 })
    expect(plan.find(({ source }) => source === 'b')).toMatchObject({ share: 1, sampleShare: 1 })
    expect(read({ b: 5 }, 200).every((s) => DATASET.sources[DATASET.sourceIndex(s)] === 'b')).toBe(true)
    const [warning] = mixingWarnings(plan)
    expect(warning).toContain('"a"')
    expect(warning).toContain('"c"')
    expect(mixingWarnings(planMixing(DATASET, ratios))).toEqual([])
    expect(mixingWarnings(planMixing(DATASET, 'natural'))).toEqual([])
  })

  it('warns of more sources than figures by source can show', () => {
    const plan = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...planMixing(DATASET, 'natural')[0]!, source: `s${i}` }))
    expect(mixingWarnings(plan(50))).toEqual([])
    expect(mixingWarnings(plan(51))[0]).toMatch(
      /^the data has 51 sources \("s0", "s1", "s2" \.\.\.\).*source_field: null$/,
    )
  })

  it('refuses unknown sources, naming the known ones, and shares that are none', () => {
    const unknown = codeOf(() => planMixing(DATASET, { a: 1, web: 1 }))
    expect(unknown).toMatch(/^UNKNOWN_SOURCE .*"web"/)
    for (const source of DATASET.sources) expect(unknown).toContain(`"${source}"`)
    for (const mixing of [{ a: 0 }, { a: -1 }, { a: Number.NaN }, {}, { a: Number.POSITIVE_INFINITY }]) {
      expect(codeOf(() => planMixing(DATASET, mixing))).toMatch(/^OUT_OF_RANGE/)
    }
  })
})

describe('a row stream that mixes', () => {
  it.each([
    [{ a: 1, b: 2, c: 1 }, true],
    [{ a: 1, b: 2, c: 1 }, false],
    ['stratified', true],
    ['stratified', false],
  ] as const)('continues from every cursor and counts its rows (%j, packing %s)', (mixing, packing) => {
    const options: RowStreamOptions = {
      dataset: DATASET,
      seed: 3,
      maxLength: 32,
      packing,
      windowSize: 16,
      mixing,
    }
    const stream = createRowStream(options)
    const seen: { readonly at: OrderCursor; readonly row: readonly number[] }[] = []
    const placeOf = () => stream.cursor as OrderCursor
    while (placeOf().epoch < 2) seen.push({ at: placeOf(), row: stream.next(1).rows[0]! })
    const samples = seen.flatMap(({ row }) => row)
    expect([...samples].sort((a, b) => a - b)).toEqual(
      [...range(2).flatMap((e) => createSampleOrder(DATASET, 3, mixing).at(e, 0, 100))].sort((a, b) => a - b),
    )
    for (const epoch of [0, 1]) {
      expect(stream.numRowsPerEpoch(epoch)).toBe(seen.filter(({ at }) => at.epoch === epoch).length)
    }
    for (const [k, { at }] of seen.entries()) {
      const resumed = createRowStream({ ...options, cursor: JSON.parse(JSON.stringify(at)) as RowCursor })
      const rest = seen.slice(k).map(({ row }) => row)
      expect(rest.map(() => resumed.next(1).rows[0])).toEqual(rest)
    }
  })
})

const NATURAL_EPOCH_0 = [78, 91, 71, 61, 0, 14, 3, 30, 76, 75, 43, 4]
const NATURAL_EPOCH_1 = [18, 29, 3, 79, 89]
