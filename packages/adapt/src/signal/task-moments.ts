/** N samples, K tasks. */
import {
  add,
  clamp,
  type Device,
  div,
  mul,
  noGrad,
  pow,
  scope,
  sqrt,
  sub,
  sum,
  type Tensor,
  toDType,
} from '@adapt-ts/torch'
import { DeviceNumbers } from '../method/index.js'

/** A step's old counts weigh this much, as in the histogram of a calibrated gate. */
const DECAY = 0.99
/** Least standard deviation: scores are float32, and their rounding must not look like a signal. */
const MIN_DEVIATION = 1e-4

/**
 * Running mean and standard deviation of the scores of each task. Sums of float64 in the global order of samples,
 * so the same for every layout; they change between optimiser steps only, on the device.
 */
export class TaskMoments implements Disposable {
  private count = 0
  private sums = new DeviceNumbers([])
  private squares = new DeviceNumbers([])

  /** Whether there is nothing to compare with yet. */
  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Mean of each task, float64 [K]; belongs to the current scope. */
  means(device: Device): Tensor {
    return div(this.sums.on(device), this.count)
  }

  /** Standard deviation of each task, >= 1e-4, float64 [K]; belongs to the current scope. */
  deviations(device: Device): Tensor {
    return noGrad(() =>
      scope(() => {
        const variance_K = sub(div(this.squares.on(device), this.count), pow(this.means(device), 2))
        return clamp(sqrt(clamp(variance_K, 0, null)), MIN_DEVIATION, null)
      }),
    )
  }

  /** Adds a step's scores, float32 [N, K]; older ones fade. */
  add(score_NK: Tensor): void {
    const { device } = score_NK
    const [N] = score_NK.shape as [number]
    if (N === 0) return
    const { isEmpty } = this
    this.count = DECAY * this.count + N
    const addTo = (numbers: DeviceNumbers, of: (score: Tensor) => Tensor) =>
      numbers.replace(() => {
        const fresh_K = sum(of(toDType(score_NK, 'float64')), 0)
        return isEmpty ? fresh_K : add(mul(numbers.on(device), DECAY), fresh_K)
      })
    addTo(this.sums, (score) => score)
    addTo(this.squares, (score) => pow(score, 2))
  }

  /** Starts over from these scores [N, K]: the old ones were taken with other centroids. */
  replace(score_NK: Tensor): void {
    this.count = 0
    this.add(score_NK)
  }

  /** Plain JSON. Waits for the device. */
  state(): Readonly<Record<string, unknown>> {
    return { count: this.count, sums: this.sums.toArray(), squares: this.squares.toArray() }
  }

  /** Goes on where `state` was taken; undefined is a fresh start. */
  load(state: Readonly<Record<string, unknown>> | undefined): void {
    this[Symbol.dispose]()
    this.count = Number(state?.count ?? 0)
    this.sums = new DeviceNumbers((state?.sums as number[] | undefined) ?? [])
    this.squares = new DeviceNumbers((state?.squares as number[] | undefined) ?? [])
  }

  [Symbol.dispose](): void {
    this.sums[Symbol.dispose]()
    this.squares[Symbol.dispose]()
  }
}
