/** R rows of the reservoir, D width. */
import { copy_, mean, narrow, noGrad, scope, type Tensor, zeros } from '@adapt-ts/torch'

/** The pooled vectors of the last samples, oldest overwritten first. Order of arrival is the global sample order. */
export class Reservoir {
  readonly capacity: number
  private rows_RD: Tensor | undefined
  private next = 0
  size = 0

  constructor(capacity = 4096) {
    this.capacity = capacity
  }

  /** Appends rows [N, D]. */
  push(pooled_ND: Tensor): void {
    noGrad(() =>
      scope(() => {
        const [count, width] = pooled_ND.shape as [number, number]
        this.rows_RD ??= zeros([this.capacity, width], { device: pooled_ND.device }).persist()
        const skip = Math.max(0, count - this.capacity)
        for (let done = skip; done < count; ) {
          const length = Math.min(count - done, this.capacity - this.next)
          copy_(narrow(this.rows_RD, 0, this.next, length), narrow(pooled_ND, 0, done, length))
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
  state(): { readonly next: number; readonly size: number; readonly rows_RD: Tensor | undefined } {
    return { next: this.next, size: this.size, rows_RD: this.rows_RD }
  }

  /** Takes over what `state` gave; the tensor is copied. */
  load(next: number, size: number, rows_RD: Tensor | undefined): void {
    this.rows_RD?.dispose()
    this.rows_RD =
      rows_RD && scope(() => copy_(zeros(rows_RD.shape, { device: rows_RD.device }), rows_RD)).persist()
    this.next = next
    this.size = size
  }

  /** Frees the rows. */
  dispose(): void {
    this.rows_RD?.dispose()
    this.rows_RD = undefined
  }
}
