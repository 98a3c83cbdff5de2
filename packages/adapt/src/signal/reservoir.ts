/** R rows of the reservoir, D width. */
import { copy_, mean, narrow, noGrad, scope, type Tensor, zeros } from '@adapt-ts/torch'

/** What a reservoir holds. */
export interface ReservoirState {
  readonly next: number
  readonly size: number
  /** [size], -1 where it is not known. */
  readonly sources: readonly number[]
  readonly rows_RD: Tensor | undefined
}

/** Of a sample whose source nobody said. */
const UNKNOWN = -1

/** The pooled vectors of the last samples and their sources, oldest overwritten first. Order of arrival is the global sample order. */
export class Reservoir {
  readonly capacity: number
  private readonly source: Int32Array
  private rows_RD: Tensor | undefined
  private next = 0
  size = 0

  constructor(capacity = 4096) {
    this.capacity = capacity
    this.source = new Int32Array(capacity).fill(UNKNOWN)
  }

  /** Appends rows [N, D]. @param sources  Index of the source of each, [N]; absent where it is not known. */
  push(pooled_ND: Tensor, sources?: ArrayLike<number>): void {
    noGrad(() =>
      scope(() => {
        const [count, width] = pooled_ND.shape as [number, number]
        this.rows_RD ??= zeros([this.capacity, width], { device: pooled_ND.device }).persist()
        const skip = Math.max(0, count - this.capacity)
        for (let done = skip; done < count; ) {
          const length = Math.min(count - done, this.capacity - this.next)
          copy_(narrow(this.rows_RD, 0, this.next, length), narrow(pooled_ND, 0, done, length))
          for (let i = 0; i < length; i++) this.source[this.next + i] = sources?.[done + i] ?? UNKNOWN
          this.next = (this.next + length) % this.capacity
          this.size = Math.min(this.capacity, this.size + length)
          done += length
        }
      }),
    )
  }

  /** The filled rows [size, D] (a view), or undefined while empty. Belongs to the current scope. */
  rows(): Tensor | undefined {
    return this.rows_RD && this.size > 0 ? narrow(this.rows_RD, 0, 0, this.size) : undefined
  }

  /** Index of the source of each filled row, [size]; undefined while empty, or where one is not known. */
  sources(): Int32Array | undefined {
    const filled = this.source.slice(0, this.size)
    return this.size > 0 && !filled.includes(UNKNOWN) ? filled : undefined
  }

  /** Mean of the filled rows [D], or undefined while empty. Belongs to the current scope. */
  mean(): Tensor | undefined {
    return noGrad(() =>
      scope(() => {
        const rows = this.rows()
        return rows && mean(rows, 0)
      }),
    )
  }

  /** What an identical resume needs; the tensor stays the reservoir's own. */
  state(): ReservoirState {
    const { next, size, rows_RD } = this
    return { next, size, sources: [...this.source.subarray(0, size)], rows_RD }
  }

  /** Takes over what `state` gave; the tensor is copied. */
  load({ next, size, sources, rows_RD }: ReservoirState): void {
    this.rows_RD?.dispose()
    this.rows_RD =
      rows_RD && scope(() => copy_(zeros(rows_RD.shape, { device: rows_RD.device }), rows_RD)).persist()
    this.next = next
    this.size = size
    this.source.fill(UNKNOWN)
    this.source.set(sources)
  }

  /** Frees the rows. */
  dispose(): void {
    this.rows_RD?.dispose()
    this.rows_RD = undefined
  }
}
