/** R rows of the reservoir in K blocks, D width. */
import { bind, copy_, div, narrow, noGrad, scope, sum, type Tensor, zeros } from '@adapt-ts/torch'

const sumInto = bind('aten::sum', 'IntList_out')

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
/** Rows that are summed again when one of them is new: the mean of all is asked for in every step, and their sums are few. */
const BLOCK = 64

/** The pooled vectors of the last samples and their sources, oldest overwritten first. Order of arrival is the global sample order. */
export class Reservoir {
  readonly capacity: number
  private readonly source: Int32Array
  private rows_RD: Tensor | undefined
  /** Sums of blocks; of rows alone, so that it need not be saved. */
  private sums_KD: Tensor | undefined
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
        const { device } = pooled_ND
        this.rows_RD ??= zeros([this.capacity, width], { device }).persist()
        this.sums_KD ??= zeros([Math.ceil(this.capacity / BLOCK), width], { device }).persist()
        const skip = Math.max(0, count - this.capacity)
        for (let done = skip; done < count; ) {
          const length = Math.min(count - done, this.capacity - this.next)
          const fresh = length === count ? pooled_ND : narrow(pooled_ND, 0, done, length)
          copy_(narrow(this.rows_RD, 0, this.next, length), fresh)
          this.sumBlocks(this.next, length)
          for (let i = 0; i < length; i++) this.source[this.next + i] = sources?.[done + i] ?? UNKNOWN
          this.next = (this.next + length) % this.capacity
          this.size = Math.min(this.capacity, this.size + length)
          done += length
        }
      }),
    )
  }

  /** Sums the blocks anew that hold any of `length` > 0 rows from `start` on. */
  private sumBlocks(start: number, length: number): void {
    for (let block = Math.floor(start / BLOCK); block * BLOCK < start + length; block++) {
      const first = block * BLOCK
      const rows = narrow(this.rows_RD!, 0, first, Math.min(BLOCK, this.capacity - first))
      sumInto(rows, [0], true, { out: narrow(this.sums_KD!, 0, block, 1) })
    }
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
        return this.sums_KD && this.size > 0 ? div(sum(this.sums_KD, 0), this.size) : undefined
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
    this.sums_KD?.dispose()
    this.rows_RD = this.sums_KD = undefined
    if (rows_RD) {
      const { shape, device } = rows_RD
      this.rows_RD = scope(() => copy_(zeros(shape, { device }), rows_RD)).persist()
      this.sums_KD = zeros([Math.ceil(this.capacity / BLOCK), shape[1]!], { device }).persist()
      noGrad(() => scope(() => this.sumBlocks(0, this.capacity)))
    }
    this.next = next
    this.size = size
    this.source.fill(UNKNOWN)
    this.source.set(sources)
  }

  /** Frees the rows. */
  dispose(): void {
    this.rows_RD?.dispose()
    this.sums_KD?.dispose()
    this.rows_RD = this.sums_KD = undefined
  }
}
