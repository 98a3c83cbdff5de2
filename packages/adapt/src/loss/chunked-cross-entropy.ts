/** N labelled positions, C positions of a chunk, D width, V vocabulary. */
import {
  add_,
  bind,
  cat,
  type Device,
  type DType,
  exp_,
  gather,
  logSoftmax,
  mul,
  narrow,
  nn,
  noGrad,
  scope,
  squeeze,
  sum,
  type Tensor,
  toDType,
  unsqueeze,
  where,
  zeros,
  zerosLike,
} from '@adapt-ts/torch'
import { defaultChunkSize } from './default-chunk-size.js'
import { headProducts } from './head-products.js'

/** Memory and precision of the chunked loss. */
export interface ChunkedLossOptions {
  /** Positions a chunk; the logits of one chunk are all that ever exists. Default: {@link defaultChunkSize}. */
  readonly chunkSize?: number
  /** Matrix products in this dtype; log-softmax and sums stay in float32. */
  readonly computeDtype?: DType | undefined
}

/** Losses of N positions and the gradient of their weighted sum. Both belong to the current scope. */
export interface ChunkedLoss {
  /** float32 [N], nats, unweighted. */
  readonly loss_N: Tensor
  /** float32 [N, D]: d (sum_n weight_n loss_n) / d hidden. */
  readonly gradient_ND: Tensor
}

const isBelow = bind('aten::lt', 'Tensor')
const chunkSizeFor = (head: Tensor) => defaultChunkSize(head.device, head.shape[0]!)

const asDType = (x: Tensor, dtype: DType) => (x.dtype === dtype ? x : toDType(x, dtype))

/** Rows of the last chunk on a CPU, where oneDNN prepares every product of a new shape, are made a multiple of this, or a whole chunk. */
const CPU_ROWS = 64

/** Some of the positions, and rows of zeros that go through the products with them. */
interface Chunk {
  /** [positions, ...] -> [length + rows of zeros, ...] */
  take(x: Tensor): Tensor
  /** [length + rows of zeros, ...] -> [length, ...] */
  drop(x: Tensor): Tensor
}

function* chunks(total: number, size: number, device: Device): Generator<Chunk> {
  for (let start = 0; start < total; start += size) {
    const length = Math.min(size, total - start)
    const numZeros = device === 'cpu' ? Math.min(size, Math.ceil(length / CPU_ROWS) * CPU_ROWS) - length : 0
    yield {
      take(x) {
        const rows = narrow(x, 0, start, length)
        if (numZeros === 0) return rows
        return cat([rows, zeros([numZeros, ...x.shape.slice(1)], { dtype: x.dtype, device })])
      },
      drop: (x) => (numZeros === 0 ? x : narrow(x, 0, 0, length)),
    }
  }
}

/**
 * Linear head and cross-entropy in one, chunk by chunk, with the gradient in closed form: the [N, V] logits are
 * never held and nothing is recorded for autograd.
 *
 *   ce_n = -log softmax(h_n W^T)[y_n],   d/dh_n = a_n (p_n - 1[y_n]) W,   d/dW = sum_n a_n (p_n - 1[y_n])^T h_n
 *
 * The head's gradient is added to `head.grad` at once (when it is trainable).
 *
 * @param hidden_ND float32 [N, D], read only.
 * @param head      [V, D]
 * @param labels_N  int64 [N], every one in 0 .. V-1.
 * @param weight_N  float32 [N], a_n >= 0; carries no gradient.
 */
export function chunkedCrossEntropy(
  hidden_ND: Tensor,
  head: nn.Parameter | Tensor,
  labels_N: Tensor,
  weight_N: Tensor,
  { chunkSize = chunkSizeFor(head), computeDtype = 'float32' }: ChunkedLossOptions = {},
): ChunkedLoss {
  return noGrad(() =>
    scope(() => {
      const products = headProducts(asDType(head, computeDtype), { forHidden: true })
      const headGrad = head.requiresGrad ? (head.grad ?? zerosLike(head)) : undefined
      const losses: Tensor[] = []
      const gradients: Tensor[] = []
      for (const { take, drop } of chunks(labels_N.shape[0]!, chunkSize, head.device)) {
        const [loss_C, gradient_CD] = scope(() => {
          const hidden_CD = take(hidden_ND)
          const labels_C = take(labels_N)
          const weight_C1 = unsqueeze(take(weight_N), 1)
          const logits_CV = products.toLogits(asDType(hidden_CD, computeDtype))
          const { loss_C, takeGradient } = nn.spendLogits(logits_CV, labels_C)
          // The weights go on the narrow side of each product.
          const residual_CV = takeGradient()
          const gradient_CD = mul(products.toHidden(residual_CV), weight_C1)
          if (headGrad) {
            const weighted_CD = asDType(mul(hidden_CD, weight_C1), computeDtype)
            products.addToGradient(headGrad, residual_CV, weighted_CD)
          }
          return [drop(loss_C), asDType(drop(gradient_CD), 'float32')] as [Tensor, Tensor]
        })
        losses.push(loss_C)
        gradients.push(gradient_CD)
      }
      if (headGrad) head.grad = headGrad
      return { loss_N: cat(losses), gradient_ND: cat(gradients) }
    }),
  )
}

/** Token losses only: float32 [N], nats. For scoring and evaluation. */
export function chunkedTokenLosses(
  hidden_ND: Tensor,
  head: Tensor,
  labels_N: Tensor,
  options: ChunkedLossOptions = {},
): Tensor {
  return readChunks(
    hidden_ND,
    head,
    labels_N,
    options,
    (logits_CV, labels_C) => nn.spendLogits(logits_CV, labels_C).loss_C,
  )
}

/**
 * u_n = p[y_n] + the sum of p[v] over the tokens v that are strictly less likely: float32 [N], in (0, 1]. Near 1 for the likeliest token of all.
 *
 * @see arXiv 2606.09396
 */
export function chunkedTokenMasses(
  hidden_ND: Tensor,
  head: Tensor,
  labels_N: Tensor,
  options: ChunkedLossOptions = {},
): Tensor {
  return readChunks(hidden_ND, head, labels_N, options, (logits_CV, labels_C) => {
    const prob_CV = exp_(logSoftmax(logits_CV, -1, 'float32'))
    const own_C1 = gather(prob_CV, 1, unsqueeze(labels_C, 1))
    const below_CV = where(isBelow(prob_CV, own_C1) as Tensor, prob_CV, zerosLike(prob_CV))
    return squeeze(add_(sum(below_CV, [1], true), own_C1), 1)
  })
}

/** A number of each position, from its logits and its label; no graph. */
function readChunks(
  hidden_ND: Tensor,
  head: Tensor,
  labels_N: Tensor,
  { chunkSize = chunkSizeFor(head), computeDtype = 'float32' }: ChunkedLossOptions,
  read: (logits_CV: Tensor, labels_C: Tensor) => Tensor,
): Tensor {
  return noGrad(() =>
    scope(() => {
      const products = headProducts(asDType(head, computeDtype), { forHidden: false })
      const values = Array.from(chunks(labels_N.shape[0]!, chunkSize, head.device), ({ take, drop }) =>
        scope(() => drop(read(products.toLogits(asDType(take(hidden_ND), computeDtype)), take(labels_N)))),
      )
      return cat(values)
    }),
  )
}
