/** V anchors, P candidates, K neighbours, D width. */
import { type Device, matmul, noGrad, scope, tensor, transpose } from '@adapt-ts/torch'

/** Candidates whose similarities are computed at once. */
const CANDIDATES_AT_ONCE = 4096
/** Similarities that are kept at once: 256 MB. */
const SIMILARITIES_AT_ONCE = 2 ** 26

/** Unit vectors on the host, row after row. */
export interface UnitVectors {
  /** float32 [P * D]. */
  readonly values: Float32Array
  /** D */
  readonly width: number
}

/** The nearest candidates of every anchor, from the nearest on; ties by place. */
export interface Neighbours {
  /** K */
  readonly count: number
  /** Place among the candidates, [V * K]. */
  readonly place_VK: Uint32Array
  /** Euclidean distance, [V * K]. */
  readonly distance_VK: Float32Array
}

/**
 * Squared distances of unit vectors to all candidates, exact but for rounding: 2 - 2 <a, b>, never below 0.
 * @param take  Gets the number of a row of `of` and its distances to all candidates, [P]; they are valid until it returns.
 */
export function eachSquaredDistances(
  of: UnitVectors,
  candidates: UnitVectors,
  device: Device,
  take: (row: number, squared_P: Float32Array) => void,
): void {
  const { width } = candidates
  const [numRows, P] = [of.values.length / width, candidates.values.length / width]
  const rowsAtOnce = Math.max(1, Math.floor(SIMILARITIES_AT_ONCE / P))
  for (let first = 0; first < numRows; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, numRows - first)
    const squared = new Float32Array(rows * P)
    scope(() => {
      const rows_RD = tensor(of.values.subarray(first * width, (first + rows) * width), [rows, width], {
        device,
      })
      for (let start = 0; start < P; start += CANDIDATES_AT_ONCE) {
        const size = Math.min(CANDIDATES_AT_ONCE, P - start)
        const part = candidates.values.subarray(start * width, (start + size) * width)
        const similarity = scope(() =>
          noGrad(() =>
            matmul(rows_RD, transpose(tensor(part, [size, width], { device }), 0, 1)).toFloat32Array(),
          ),
        )
        for (let r = 0; r < rows; r++)
          for (let i = 0; i < size; i++)
            squared[r * P + start + i] = Math.max(0, 2 - 2 * similarity[r * size + i]!)
      }
    })
    for (let r = 0; r < rows; r++) take(first + r, squared.subarray(r * P, (r + 1) * P))
  }
}

/** @param count  K; at most P are found. */
export function nearestNeighbours(
  anchors: UnitVectors,
  candidates: UnitVectors,
  count: number,
  device: Device,
): Neighbours {
  const { width } = candidates
  const [V, K] = [anchors.values.length / width, Math.min(count, candidates.values.length / width)]
  const place_VK = new Uint32Array(V * K)
  const distance_VK = new Float32Array(V * K)
  eachSquaredDistances(anchors, candidates, device, (row, squared_P) => {
    const nearest = smallestPlaces(squared_P, K)
    place_VK.set(nearest, row * K)
    distance_VK.set(
      Float32Array.from(nearest, (place) => Math.sqrt(squared_P[place]!)),
      row * K,
    )
  })
  return { count: K, place_VK, distance_VK }
}

/** Places of the smallest values, ascending, ties by place. */
export function smallestPlaces(values: Float32Array, count: number): Uint32Array {
  // Sorting numbers is far cheaper than sorting places by them.
  const last = values.slice().sort()[count - 1]!
  const found = Uint32Array.from([...values.keys()].filter((i) => values[i]! <= last))
  return found.sort((a, b) => values[a]! - values[b]!).subarray(0, count)
}

/**
 * Takes the mean of the rows from them and from others, in place, and makes all of them unit vectors again.
 * @param rows  Whose mean it is.
 */
export function centerRows(rows: UnitVectors, others: readonly UnitVectors[]): void {
  const { values, width } = rows
  const mean = new Float64Array(width)
  for (let i = 0; i < values.length; i++) mean[i % width]! += values[i]!
  const numRows = values.length / width
  for (const { values: one } of [rows, ...others]) {
    for (let start = 0; start < one.length; start += width) {
      let squares = 0
      for (let d = 0; d < width; d++) {
        const centred = one[start + d]! - mean[d]! / numRows
        one[start + d] = centred
        squares += centred * centred
      }
      const length = Math.max(Math.sqrt(squares), 1e-8)
      for (let d = 0; d < width; d++) one[start + d]! /= length
    }
  }
}
