/** What one sample got over the last part of a run. */
export interface SampleWeight {
  /** Dense index. */
  readonly index: number
  /** Weight divided by the mean weight of the step, averaged over the times seen. */
  readonly relativeWeight: number
  readonly weight: number
  readonly score: number
  readonly loss: number
  /** Over the whole run. */
  readonly timesSeen: number
}

const FIRST_CAPACITY = 1024

/** Sums per sample in growing columns: a map of objects would need ten times the memory for millions of samples. */
export class SampleSums {
  #timesSeen = new Int32Array(FIRST_CAPACITY)
  #rows = new Int32Array(FIRST_CAPACITY)
  #relative = new Float64Array(FIRST_CAPACITY)
  #weight = new Float32Array(FIRST_CAPACITY)
  #score = new Float32Array(FIRST_CAPACITY)
  #loss = new Float32Array(FIRST_CAPACITY)
  #numSamples = 0

  /** Different samples that were added. */
  get numSamples(): number {
    return this.#numSamples
  }

  /** Notes that a sample was seen. */
  count(index: number): void {
    if (index >= this.#rows.length) this.#grow(index)
    this.#timesSeen[index]!++
  }

  /** Adds to the means of a sample, which has been counted. */
  add(
    index: number,
    seen: {
      readonly relative: number
      readonly weight: number
      readonly score: number
      readonly loss: number
    },
  ): void {
    if (this.#rows[index] === 0) this.#numSamples++
    this.#rows[index]!++
    this.#relative[index]! += seen.relative
    this.#weight[index]! += seen.weight
    this.#score[index]! += seen.score
    this.#loss[index]! += seen.loss
  }

  /** The samples with the highest and those with the lowest mean relative weight; with few samples, half each. */
  extremes(count: number): [SampleWeight[], SampleWeight[]] {
    const number = Math.min(count, Math.floor(this.#numSamples / 2))
    const up = new Best(number, (a, b) => this.#mean(b) - this.#mean(a) || a - b)
    const down = new Best(number, (a, b) => this.#mean(a) - this.#mean(b) || b - a)
    for (let index = 0; index < this.#rows.length; index++) {
      if (this.#rows[index] === 0) continue
      up.offer(index)
      down.offer(index)
    }
    return [up.found.map((index) => this.#get(index)), down.found.map((index) => this.#get(index))]
  }

  #mean(index: number): number {
    return this.#relative[index]! / this.#rows[index]!
  }

  #get(index: number): SampleWeight {
    const rows = this.#rows[index]!
    return {
      index,
      relativeWeight: this.#mean(index),
      weight: this.#weight[index]! / rows,
      score: this.#score[index]! / rows,
      loss: this.#loss[index]! / rows,
      timesSeen: this.#timesSeen[index]!,
    }
  }

  #grow(index: number): void {
    const capacity = Math.max(index + 1, 2 * this.#rows.length)
    const wider = <A extends Int32Array | Float32Array | Float64Array>(from: A, to: A): A => {
      to.set(from)
      return to
    }
    this.#timesSeen = wider(this.#timesSeen, new Int32Array(capacity))
    this.#rows = wider(this.#rows, new Int32Array(capacity))
    this.#relative = wider(this.#relative, new Float64Array(capacity))
    this.#weight = wider(this.#weight, new Float32Array(capacity))
    this.#score = wider(this.#score, new Float32Array(capacity))
    this.#loss = wider(this.#loss, new Float32Array(capacity))
  }
}

/** The first `count` in an order, without sorting all. */
class Best {
  readonly found: number[] = []

  constructor(
    private readonly count: number,
    private readonly order: (a: number, b: number) => number,
  ) {}

  offer(index: number): void {
    const last = this.found.at(-1)
    if (this.found.length === this.count && (last === undefined || this.order(index, last) >= 0)) return
    let at = this.found.length
    while (at > 0 && this.order(index, this.found[at - 1]!) < 0) at--
    this.found.splice(at, 0, index)
    if (this.found.length > this.count) this.found.pop()
  }
}
