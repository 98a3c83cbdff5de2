/** S vectors of K numbers, M buckets. */
import { indexAdd, mul, noGrad, scope, type Tensor, tensor, zeros } from '@adapt-ts/torch'
import { createStream } from '../batch/index.js'

/** Tells these hashes apart from other numbers with the same seed. */
const STREAM = 43

/**
 * A few numbers in the place of a long vector: every entry is added to one of M buckets, with a sign, both functions of seed, layer and index. Inner products
 * of sketches are those of the vectors on average, with a variance of about (|x|^2 |y|^2 + <x, y>^2) / M.
 *
 *   sketch(x)[h(k)] += sign(k) x_k
 *
 * Keeps two numbers for each entry of a layer.
 * @see Charikar, Chen and Farach-Colton 2002.
 */
export class CountSketch {
  private readonly kept = new Map<string, { readonly bucket_K: Tensor; readonly sign_K: Tensor }>()

  /** @param width  M. @param seed  Integer in 0..2^53-1. */
  constructor(
    readonly width: number,
    private readonly seed: number,
  ) {}

  /** float32 [S, K] of a layer -> [S, M]. Belongs to the current scope. */
  apply(layer: string, rows_SK: Tensor): Tensor {
    const [numRows, size] = rows_SK.shape as [number, number]
    const { bucket_K, sign_K } = this.hashes(layer, size, rows_SK.device)
    return countSketch(rows_SK, bucket_K, sign_K, zeros([numRows, this.width], { device: rows_SK.device }))
  }

  private hashes(layer: string, size: number, device: Tensor['device']) {
    const found = this.kept.get(layer)
    if (found !== undefined) return found
    const next = createStream([this.seed, STREAM, ...Array.from(layer, (char) => char.charCodeAt(0))])
    const buckets = new Int32Array(size)
    const signs = new Float32Array(size)
    for (let k = 0; k < size; k++) {
      const bits = next()
      buckets[k] = Math.floor(((bits >>> 1) / 2 ** 31) * this.width)
      signs[k] = bits & 1 ? 1 : -1
    }
    const made = {
      bucket_K: tensor(buckets, [size], { dtype: 'int64', device }).persist(),
      sign_K: tensor(signs, [size], { device }).persist(),
    }
    this.kept.set(layer, made)
    return made
  }

  /** Frees the hashes. */
  [Symbol.dispose](): void {
    for (const { bucket_K, sign_K } of this.kept.values()) {
      bucket_K.dispose()
      sign_K.dispose()
    }
    this.kept.clear()
  }
}

/** Adds every entry of the rows [S, K] to its bucket of `into` [S, M]. Belongs to the current scope. */
export function countSketch(rows_SK: Tensor, bucket_K: Tensor, sign_K: Tensor, into: Tensor): Tensor {
  return noGrad(() => scope(() => indexAdd(into, 1, bucket_K, mul(rows_SK, sign_K))))
}
