/** P parameters, S samples, D width of the projection. */
import {
  addmm_,
  type Device,
  indexSelect,
  narrow,
  noGrad,
  reshape,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@adapt-ts/torch'
import { createStream } from '../batch/index.js'

/** Signs that come out of one look-up: a table of all patterns of 16 bits is 4 MiB. */
const PATTERN_BITS = 16
/** Most signs that are there at once: 32 MiB as float32. */
const BLOCK_SIGNS = 2 ** 23
/** Tells these signs apart from other numbers with the same seed. */
const STREAM = 31

/**
 * A projection by random signs, R [P, D] of +-1, whose entries are functions of seed, row and column: they are made block by block and never
 * stored. The same R for every model, checkpoint and process. Where P is not above D there is none: vectors stay as they are.
 *
 *   u = g R
 *
 * Not scaled by 1 / sqrt(D), which a unit vector does not see.
 * @see Johnson and Lindenstrauss 1984; Achlioptas 2003 for signs.
 */
export class SignProjection {
  private readonly key: readonly [number, number]
  private table: Tensor | undefined

  /** @param width  D. @param seed  Integer in 0..2^53-1. */
  constructor(
    readonly width: number,
    seed: number,
  ) {
    const next = createStream([seed, STREAM])
    this.key = [next(), next()]
  }

  /** float32 [S, P] -> [S, D], or the same tensor where P <= D. Belongs to the current scope. */
  apply(gradient_SP: Tensor): Tensor {
    const [numSamples, numParameters] = gradient_SP.shape as [number, number]
    if (numParameters <= this.width) return gradient_SP
    const rowsAtOnce = Math.max(1, Math.floor(BLOCK_SIGNS / this.width))
    return noGrad(() =>
      scope(() => {
        const projected_SD = zeros([numSamples, this.width], { device: gradient_SP.device })
        for (let start = 0; start < numParameters; start += rowsAtOnce) {
          const count = Math.min(rowsAtOnce, numParameters - start)
          scope(() => {
            const signs = this.signs(start, count, gradient_SP.device)
            addmm_(projected_SD, narrow(gradient_SP, 1, start, count), signs)
          })
        }
        return projected_SD
      }),
    )
  }

  /** Rows start .. start+count-1 of R, float32 [count, D]. Belongs to the current scope. */
  signs(start: number, count: number, device: Device): Tensor {
    return scope(() => {
      const wordsPerRow = Math.ceil(this.width / (2 * PATTERN_BITS))
      const patterns = this.patterns(start, count, wordsPerRow)
      const index = tensor(patterns, [patterns.length], { dtype: 'int32', device })
      const signs = reshape(indexSelect(this.patternTable(device), 0, index), [
        count,
        wordsPerRow * 2 * PATTERN_BITS,
      ])
      return narrow(signs, 1, 0, this.width)
    })
  }

  /** 16 random bits each, [count * wordsPerRow * 2]. */
  private patterns(start: number, count: number, wordsPerRow: number): Int32Array {
    const [first, second] = this.key
    const patterns = new Int32Array(count * wordsPerRow * 2)
    let place = 0
    for (let row = start; row < start + count; row++) {
      // Two keys a row, so that no two rows are shifted copies of each other; rows beyond 2^32 differ in both.
      const high = Math.floor(row / 2 ** 32)
      const rowKey = mix32((row | 0) ^ first ^ Math.imul(high, 0x9e3779b9))
      const other = mix32(rowKey ^ second ^ high)
      for (let word = 0; word < wordsPerRow; word++) {
        const bits = mix32(mix32(rowKey + Math.imul(word, 0x9e3779b9)) ^ other)
        patterns[place++] = bits & 0xffff
        patterns[place++] = bits >>> 16
      }
    }
    return patterns
  }

  /** The 16 signs of every pattern: float32 [65536, 16]. */
  private patternTable(device: Device): Tensor {
    if (this.table === undefined) {
      const values = new Float32Array(2 ** PATTERN_BITS * PATTERN_BITS)
      for (let pattern = 0, place = 0; pattern < 2 ** PATTERN_BITS; pattern++)
        for (let bit = 0; bit < PATTERN_BITS; bit++) values[place++] = (pattern >>> bit) & 1 ? 1 : -1
      this.table = tensor(values, [2 ** PATTERN_BITS, PATTERN_BITS], { device }).persist()
    }
    return this.table
  }

  /** Frees the table. */
  [Symbol.dispose](): void {
    this.table?.dispose()
    this.table = undefined
  }
}

/** A bijection of 32-bit numbers in which every input bit moves every output bit (the finaliser of MurmurHash3). */
function mix32(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
