import {
  backward,
  bind,
  enableGrad,
  indexSelect,
  mul,
  noGrad,
  reshape,
  scope,
  sum,
  type Tensor,
  tensor,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { attentionGroups, attentionMask, type CausalLM, packedMask, toModelInputs } from '../model/index.js'

const crossEntropy = bind('aten::cross_entropy_loss')
const NO_REDUCTION = 0
const MEAN = 1

/**
 * A loss over all labels and its gradients, by autograd through the logits of the whole batch.
 *
 * @param factorsOf  What the loss of each label is multiplied by, in row-major order, before the sum; from the losses. Default: their mean.
 */
export function plainBackward(
  model: CausalLM,
  batch: Batch,
  factorsOf?: (loss_N: Float32Array) => readonly number[],
): number {
  return scope(() => {
    const { device } = model
    const { tokens_BT, position_BT, dense, isPacked } = toModelInputs(batch, device, { fill: false })
    const groups = dense && attentionGroups(dense.lengths, device)
    const mask = isPacked ? packedMask(batch, device) : attentionMask(batch.length, device)
    const context = { rotation: model.rotation(position_BT, batch.length), mask, slidingMask: mask, groups }
    return enableGrad(() => {
      let x_BTD = model.model.run(tokens_BT)
      for (const layer of model.model.layers) x_BTD = layer.run(x_BTD, context)
      const logits_BTV = model.run(model.model.norm.run(x_BTD))
      const all = tensor(batch.labels_BT, [batch.rows * batch.length], {
        dtype: 'int64',
        device,
      })
      const labels = dense ? indexSelect(all, 0, dense.place_N) : all
      const logits = reshape(logits_BTV, [labels.numel, model.config.vocabSize])
      const loss =
        factorsOf === undefined
          ? (crossEntropy(logits, labels, null, MEAN, -100) as Tensor)
          : weightedSum(crossEntropy(logits, labels, null, NO_REDUCTION, -100) as Tensor, labels, factorsOf)
      backward([loss])
      return loss.item()
    })
  })
}

function weightedSum(
  loss_P: Tensor,
  labels_P: Tensor,
  factorsOf: (loss_N: Float32Array) => readonly number[],
): Tensor {
  const factor_P = noGrad(() => {
    const losses = loss_P.toFloat32Array()
    const isLabel = [...labels_P.toBigInt64Array()].map((label) => label >= 0n)
    const factors = factorsOf(losses.filter((_, p) => isLabel[p]))
    let next = 0
    return tensor(
      isLabel.map((yes) => (yes ? factors[next++]! : 0)),
      [losses.length],
      { device: loss_P.device },
    )
  })
  return sum(mul(loss_P, factor_P))
}
