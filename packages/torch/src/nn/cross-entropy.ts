/** C positions, V vocabulary. */
import { bind } from '../dispatch.js'
import { exp_, full, gather, logSoftmax, neg, scatterAdd_, squeeze, toDType, unsqueeze } from '../ops.js'
import type { Tensor } from '../tensor.js'
import { hasOwnKernel } from './own-kernels.js'

/** Ours, of the add-on. */
const ownCrossEntropy = bind('adapt::cross_entropy_')

/** Losses of positions in the current scope, and the way to their gradient; no graph. */
export interface PositionLosses {
  /** float32 [C]: -ln softmax(x_c)[y_c], in nats. */
  readonly loss_C: Tensor
  /** d loss_c / d x_c = softmax(x_c) - onehot(y_c): [C, V] in the dtype of the logits, which it may be itself. Once. */
  takeGradient(): Tensor
}

/**
 * Cross-entropy of every position, where nobody needs the logits afterwards: their memory may become the gradient's.
 * @param logits_CV  Rows of V numbers side by side, no leaf of a graph. @param labels_C int64, every one in 0 .. V-1.
 */
export function spendLogits(logits_CV: Tensor, labels_C: Tensor): PositionLosses {
  if (hasOwnKernel('adapt::cross_entropy_', logits_CV.device, logits_CV.dtype)) {
    return { loss_C: ownCrossEntropy(logits_CV, labels_C) as Tensor, takeGradient: () => logits_CV }
  }
  const { dtype, device } = logits_CV
  const label_C1 = unsqueeze(labels_C, 1)
  const logProb_CV = logSoftmax(logits_CV, -1, 'float32')
  const takeGradient = () => {
    const minusOne_C1 = full(label_C1.shape, -1, { device })
    const gradient_CV = scatterAdd_(exp_(logProb_CV), 1, label_C1, minusOne_C1)
    return dtype === 'float32' ? gradient_CV : toDType(gradient_CV, dtype)
  }
  return { loss_C: neg(squeeze(gather(logProb_CV, 1, label_C1), 1)), takeGradient }
}
