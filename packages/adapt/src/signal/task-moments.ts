/** A step's old counts weigh this much, as in the histogram of a calibrated gate. */
const DECAY = 0.99
/** Least standard deviation: scores are float32, and their rounding must not look like a signal. */
const MIN_DEVIATION = 1e-4

/**
 * Running mean and standard deviation of the scores of each task. Sums of float64 in the global order of samples,
 * so the same for every layout; they change between optimiser steps only.
 */
export class TaskMoments {
  private count = 0
  private sums: number[] = []
  private squares: number[] = []

  /** Whether there is nothing to compare with yet. */
  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Mean of each task, [K]. */
  get means(): number[] {
    return this.sums.map((sum) => sum / this.count)
  }

  /** Standard deviation of each task, [K], >= 1e-4. */
  get deviations(): number[] {
    return this.means.map((mean, k) =>
      Math.max(MIN_DEVIATION, Math.sqrt(Math.max(0, this.squares[k]! / this.count - mean * mean))),
    )
  }

  /** Adds a step's scores [N, K], row by row; older ones fade. */
  add(scores: Float64Array, numTasks: number): void {
    if (scores.length === 0) return
    if (this.isEmpty) {
      this.sums = new Array<number>(numTasks).fill(0)
      this.squares = new Array<number>(numTasks).fill(0)
    }
    this.count = DECAY * this.count + scores.length / numTasks
    for (let k = 0; k < numTasks; k++) {
      let sum = DECAY * this.sums[k]!
      let square = DECAY * this.squares[k]!
      for (let i = k; i < scores.length; i += numTasks) {
        sum += scores[i]!
        square += scores[i]! ** 2
      }
      this.sums[k] = sum
      this.squares[k] = square
    }
  }

  /** Starts over from these scores [N, K]: the old ones were taken with other centroids. */
  replace(scores: Float64Array, numTasks: number): void {
    this.count = 0
    this.add(scores, numTasks)
  }

  /** Plain JSON. */
  state(): Readonly<Record<string, unknown>> {
    return { count: this.count, sums: [...this.sums], squares: [...this.squares] }
  }

  /** Goes on where `state` was taken; undefined is a fresh start. */
  load(state: Readonly<Record<string, unknown>> | undefined): void {
    this.count = Number(state?.count ?? 0)
    this.sums = [...((state?.sums as number[] | undefined) ?? [])]
    this.squares = [...((state?.squares as number[] | undefined) ?? [])]
  }
}
