import { describe, expect, it } from 'vitest'
import type { OrderCursor } from './row-cursor.js'
import { createRowStream, type RowStreamOptions } from './row-stream.js'

/** The definition of the order in docs/data.md once more, with none of the product's code. */
const mix = (h: number): number => {
  const a = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  const b = Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return (b ^ (b >>> 16)) >>> 0
}
function shuffled(n: number, seed: number, epoch: number, stream: number): number[] {
  const state = [seed, epoch, stream].reduce(
    (s, v) => mix(mix(s ^ mix(v + 0x9e3779b9)) ^ 0x85a308d3),
    0x243f6a88,
  )
  let i = 0
  const next = () => mix(state ^ mix(Math.imul(++i, 0x9e3779b9) + 0x13198a2e))
  const rounds = Array.from({ length: Math.max(48, 3 * Math.ceil(Math.log2(n))) }, () => {
    const [k, l, high, low] = [next(), next(), next() >>> 5, next() >>> 6]
    return (x: number) => {
      const partner = (Number((BigInt(high) * 2n ** 26n + BigInt(low)) % BigInt(n)) - x + n) % n
      return (mix(mix(Math.max(x, partner) ^ k) ^ l) & 1) === 1 ? partner : x
    }
  })
  return Array.from({ length: n }, (_, x) => rounds.reduce((y, round) => round(y), x))
}
function packed(samples: readonly number[], lengthOf: (s: number) => number, capacity: number): number[][] {
  const rows: number[][] = []
  const width = (row: readonly number[]) => row.reduce((sum, s) => sum + lengthOf(s), 0)
  for (const s of [...samples].sort(
    (a, b) => lengthOf(b) - lengthOf(a) || samples.indexOf(a) - samples.indexOf(b),
  )) {
    const fits = rows.filter((row) => width(row) + lengthOf(s) <= capacity)
    const row = fits.sort((a, b) => width(b) - width(a) || rows.indexOf(a) - rows.indexOf(b))[0] ?? []
    if (row.push(s) === 1) rows.push(row)
  }
  return rows.map((row) => row.sort((a, b) => samples.indexOf(a) - samples.indexOf(b)))
}

const CAPACITY = 32
const lengthOf = (i: number): number => 1 + ((i * i * 7 + 3 * i) % CAPACITY)

function referenceRows(n: number, seed: number, epoch: number, packing: boolean, window: number): number[][] {
  const order = shuffled(n, seed, epoch, 0)
  return Array.from({ length: Math.ceil(n / window) }, (_, w) => {
    const samples = order.slice(w * window, (w + 1) * window)
    if (!packing) return samples.map((s) => [s])
    const rows = packed(samples, lengthOf, CAPACITY)
    return shuffled(rows.length, seed, epoch, w + 1).map((i) => rows[i]!)
  }).flat()
}

/** The rows of each step of three epochs, as the run loop asks for them; `stopEvery` restarts from the cursor. */
function stepsOf(
  options: RowStreamOptions,
  batch: number,
  dropLast: boolean,
  stopEvery: number,
): number[][][] {
  let stream = createRowStream(options)
  const steps: number[][][] = []
  while ((stream.cursor as OrderCursor).epoch < 3) {
    const { rows, epoch } = stream.next(batch, { multipleOf: dropLast ? batch : 1 })
    if (epoch < 3) steps.push(rows.map((row) => [...row]))
    if (steps.length % stopEvery === 0) {
      stream = createRowStream({
        ...options,
        cursor: JSON.parse(JSON.stringify(stream.cursor)) as OrderCursor,
      })
    }
  }
  return steps
}

describe('three epochs', () => {
  for (const packing of [true, false]) {
    for (const [n, window] of [
      [97, 16],
      [64, 64],
      [50, 1024],
    ] as const) {
      it(`follow the stated order, every sample once each (${n} samples, window ${window}, packing ${packing})`, () => {
        const epochs = [0, 1, 2].map((e) => referenceRows(n, 11, e, packing, window))
        for (const rows of epochs) {
          expect(rows.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i))
        }
        const dataset = { numSamples: n, length: lengthOf, sources: ['s'], sourceIndex: () => 0 }
        const options = { dataset, seed: 11, maxLength: CAPACITY, packing, windowSize: window }
        for (const batch of [1, 4, 7]) {
          for (const dropLast of [true, false]) {
            const expected = epochs.flatMap((rows) => {
              const cut = dropLast ? rows.slice(0, rows.length - (rows.length % batch)) : rows
              return Array.from({ length: Math.ceil(cut.length / batch) }, (_, i) =>
                cut.slice(i * batch, (i + 1) * batch),
              )
            })
            for (const stopEvery of [1, 3, Number.POSITIVE_INFINITY]) {
              expect(stepsOf(options, batch, dropLast, stopEvery)).toEqual(expected)
            }
          }
        }
      })
    }
  }
})
