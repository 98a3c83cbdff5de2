/** V anchors, P candidates, K neighbours of an anchor. */
import type { Device } from '@adapt-ts/torch'
import {
  eachSquaredDistances,
  type Neighbours,
  smallestPlaces,
  type UnitVectors,
} from './nearest-neighbours.js'

/** Constants of {@link transportProbabilities}. */
export interface TransportOptions {
  /** In [0, 1): how much being near counts against being many. */
  readonly alpha: number
  /** C: the distance that being far is measured by. */
  readonly costScale: number
}

/** How candidates are to be drawn. */
export interface TransportProbabilities {
  /** [P], sums to 1. */
  readonly probability_P: Float64Array
  /** Rank of the last neighbour that each anchor reached, [V]. */
  readonly lastRank_V: Int32Array
  /** Inverse densities that an anchor gathered when all stopped: n. */
  readonly gathered: number
}

/**
 * How many candidates lie about each: sum_x' max(0, 1 - |x - x'|^2 / sigma^2) over the `count` nearest, itself among them.
 * @param sigma  0: 1 for all.
 * @returns float64 [P].
 */
export function kernelDensities(
  candidates: UnitVectors,
  { sigma, count, device }: { readonly sigma: number; readonly count: number; readonly device: Device },
): Float64Array {
  const density_P = new Float64Array(candidates.values.length / candidates.width).fill(1)
  if (sigma === 0) return density_P
  eachSquaredDistances(candidates, candidates, device, (row, squared_P) => {
    const near = squared_P.filter((squared) => squared < sigma ** 2)
    density_P[row] = nearDensity(near.length > count ? nearest(near, count) : near, sigma)
  })
  return density_P
}

/** Of the squared distances of the nearest. */
export function nearDensity(squared: Float32Array, sigma: number): number {
  return squared.reduce((sum, value) => sum + Math.max(0, 1 - value / sigma ** 2), 0)
}

const nearest = (squared: Float32Array, count: number): Float32Array =>
  Float32Array.from(smallestPlaces(squared, count), (place) => squared[place]!)

/**
 * Probabilities that bring the candidates to the anchors at little cost without piling up on duplicates. Every anchor walks outwards over its
 * neighbours; the one that has gathered the smallest sum n_j of 1 / density goes next. Its cost is then
 *
 *   c_j = d(next) n_j - sum of d / density over those reached,
 *
 * and all stop when (alpha / C) sum_j c_j >= (1 - alpha) V. With n of the last one, every neighbour that an anchor reached gets 1 / (V n density),
 * the first one beyond them what is left of the anchor's 1 / V.
 *
 * @param neighbours  At least two for each anchor.
 * @param density_P  Of every candidate that is a neighbour.
 * @see TSDS, arXiv 2410.11303.
 */
export function transportProbabilities(
  { count, place_VK, distance_VK }: Neighbours,
  density_P: ArrayLike<number>,
  { alpha, costScale }: TransportOptions,
): TransportProbabilities {
  const V = place_VK.length / count
  const inverse = (j: number, k: number) => 1 / density_P[place_VK[j * count + k]!]!
  const distance = (j: number, k: number) => distance_VK[j * count + k]!
  const lastRank_V = new Int32Array(V)
  const reached_V = Float64Array.from({ length: V }, (_, j) => distance(j, 0) * inverse(j, 0))
  const cost_V = new Float64Array(V)
  const walks = new WalkHeap(
    Array.from({ length: V }, (_, j) => ({ gathered: inverse(j, 0), rank: 0, anchor: j })),
  )
  let total = 0
  let gathered = 0
  for (let walk = walks.pop(); walk !== undefined; walk = walks.pop()) {
    const { rank, anchor: j } = walk
    gathered = walk.gathered
    const cost = distance(j, rank + 1) * gathered - reached_V[j]!
    total += cost - cost_V[j]!
    cost_V[j] = cost
    if ((alpha / costScale) * total >= (1 - alpha) * V) break
    lastRank_V[j] = rank
    // One more must be left to lie beyond those reached.
    if (rank + 2 >= count) continue
    reached_V[j]! += distance(j, rank + 1) * inverse(j, rank + 1)
    walks.push({ gathered: gathered + inverse(j, rank + 1), rank: rank + 1, anchor: j })
  }
  const probability_P = new Float64Array(density_P.length)
  for (let j = 0; j < V; j++) {
    let left = 1 / V
    for (let k = 0; k <= lastRank_V[j]!; k++) {
      const part = inverse(j, k) / (V * gathered)
      probability_P[place_VK[j * count + k]!]! += part
      left -= part
    }
    probability_P[place_VK[j * count + lastRank_V[j]! + 1]!]! += Math.max(0, left)
  }
  const sum = probability_P.reduce((a, b) => a + b, 0)
  return { probability_P: probability_P.map((p) => p / sum), lastRank_V, gathered }
}

interface Walk {
  readonly gathered: number
  readonly rank: number
  readonly anchor: number
}

const isBefore = (a: Walk, b: Walk): boolean =>
  (a.gathered - b.gathered || a.rank - b.rank || a.anchor - b.anchor) < 0

/** The walk that has gathered least comes first. */
class WalkHeap {
  private readonly walks: Walk[] = []

  constructor(walks: readonly Walk[]) {
    for (const walk of walks) this.push(walk)
  }

  push(walk: Walk): void {
    let place = this.walks.push(walk) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!isBefore(this.walks[place]!, this.walks[parent]!)) return
      this.swap(place, parent)
      place = parent
    }
  }

  pop(): Walk | undefined {
    if (this.walks.length === 0) return undefined
    this.swap(0, this.walks.length - 1)
    const first = this.walks.pop()
    for (let place = 0; ; ) {
      const [left, right] = [2 * place + 1, 2 * place + 2]
      let least = place
      if (left < this.walks.length && isBefore(this.walks[left]!, this.walks[least]!)) least = left
      if (right < this.walks.length && isBefore(this.walks[right]!, this.walks[least]!)) least = right
      if (least === place) return first
      this.swap(place, least)
      place = least
    }
  }

  private swap(a: number, b: number): void {
    ;[this.walks[a], this.walks[b]] = [this.walks[b]!, this.walks[a]!]
  }
}
