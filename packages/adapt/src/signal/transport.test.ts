import { describe, expect, it } from 'vitest'
import { openGolden } from '../model/golden.test.fixture.js'
import {
  centerRows,
  type Neighbours,
  nearestNeighbours,
  smallestPlaces,
  type UnitVectors,
} from './nearest-neighbours.js'
import { kernelDensities, nearDensity, transportProbabilities } from './transport.js'

interface TransportGolden {
  readonly candidates: readonly (readonly number[])[]
  readonly anchors: readonly (readonly number[])[]
  readonly settings: readonly {
    readonly options: {
      readonly neighbors: number
      readonly densityNeighbors: number
      readonly sigma: number
      readonly alpha: number
      readonly costScale: number
      readonly center: boolean
    }
    readonly probabilities: readonly number[]
    readonly lastRanks: readonly number[]
    readonly gathered: number
  }[]
}
const { values } = openGolden<TransportGolden>('tsds')
const vectorsOf = (rows: readonly (readonly number[])[]): UnitVectors => ({
  values: Float32Array.from(rows.flat()),
  width: rows[0]!.length,
})

/** Neighbours of points on a line. */
function onLine(anchors: readonly number[], candidates: readonly number[]): Neighbours {
  const count = candidates.length
  const distances = anchors.map((a) => Float32Array.from(candidates, (x) => Math.abs(a - x)))
  const places = distances.map((list) => smallestPlaces(list, count))
  return {
    count,
    place_VK: Uint32Array.from(places.flatMap((list) => [...list])),
    distance_VK: Float32Array.from(places.flatMap((list, j) => [...list].map((i) => distances[j]![i]!))),
  }
}

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-6) => {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of Array.from(expected).entries())
    expect(Math.abs(actual[i]! - value)).toBeLessThan(tolerance)
}

describe('transport', () => {
  it('gives the worked densities, ranks and probabilities', () => {
    const candidates = [0, 0.1, 0.5, 1, 2]
    const density = candidates.map((x) =>
      nearDensity(
        Float32Array.from(candidates, (y) => (x - y) ** 2),
        0.75,
      ),
    )
    close(density, [2.537778, 2.697778, 2.826667, 1.555556, 1])
    const found = transportProbabilities(onLine([0, 1.2], candidates), density, {
      alpha: 0.6,
      costScale: 0.5,
    })
    expect([...found.lastRank_V]).toEqual([0, 0])
    close([found.gathered], [0.764721])
    close(found.probability_P, [0.25764, 0.24236, 0.079679, 0.420321, 0])
  })

  it.each([...values.settings.entries()])('gives what the reference gives (setting %d)', (_, setting) => {
    const { neighbors, densityNeighbors, sigma, alpha, costScale, center } = setting.options
    const [pool, anchors] = [vectorsOf(values.candidates), vectorsOf(values.anchors)]
    if (center) centerRows(pool, [anchors])
    const found = nearestNeighbours(anchors, pool, neighbors, 'cpu')
    const reachable = [...new Set(found.place_VK)].sort((a, b) => a - b)
    const rows = vectorsOf(
      reachable.map((place) => [...pool.values.subarray(place * pool.width, (place + 1) * pool.width)]),
    )
    const density = kernelDensities(rows, { sigma, count: densityNeighbors, device: 'cpu' })
    const density_P = new Float64Array(values.candidates.length)
    for (const [i, place] of reachable.entries()) density_P[place] = density[i]!
    const { probability_P, lastRank_V, gathered } = transportProbabilities(found, density_P, {
      alpha,
      costScale,
    })
    expect([...lastRank_V]).toEqual(setting.lastRanks)
    close([gathered], [setting.gathered], 1e-5)
    close(probability_P, setting.probabilities, 1e-5)
  })

  it('gives a sample that is there twice half of what it has alone', () => {
    const alone = transportProbabilities(onLine([0], [0, 3, 4]), [1, 1, 1], { alpha: 0.6, costScale: 5 })
    const twice = transportProbabilities(onLine([0], [0, 0, 3, 4]), [2, 2, 1, 1], {
      alpha: 0.6,
      costScale: 5,
    })
    close(twice.probability_P.slice(0, 2), [alone.probability_P[0]! / 2, alone.probability_P[0]! / 2])
    close(twice.probability_P.slice(2), alone.probability_P.slice(1))
  })

  it('walks to the end of its neighbours where that costs little', () => {
    const { lastRank_V, probability_P } = transportProbabilities(
      onLine([0], [0, 0.1, 0.2, 0.3]),
      [1, 1, 1, 1],
      {
        ...{ alpha: 0.01, costScale: 5 },
      },
    )
    expect([...lastRank_V]).toEqual([2])
    close([probability_P.reduce((a, b) => a + b)], [1])
  })
})

describe('the nearest neighbours', () => {
  it('are those with the smallest distances, ties by place', () => {
    expect([...smallestPlaces(Float32Array.of(3, 1, 2, 1, 1), 2)]).toEqual([1, 3])
    expect([...smallestPlaces(Float32Array.of(3, 1, 2, 1, 1), 4)]).toEqual([1, 3, 4, 2])
  })
})
