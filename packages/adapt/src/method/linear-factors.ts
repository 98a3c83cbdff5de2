/** B rows, T positions, D width, N labelled positions of a micro-batch. */
import { type DType, detach, type Tensor, tensor, zeros, zerosLike } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedCrossEntropy, type LabelledPositions, labelledPositions } from '../loss/index.js'
import { type CausalLM, type ModelInputs, runTappedForward, toModelInputs } from '../model/index.js'
import type { LinearFactors } from './contract.js'

/** A scoring forward whose graph was used for the factors; all of it belongs to the current scope. */
export interface FactoredForward {
  /** float32 [B, T, D] after the final norm. */
  readonly hidden_BTD: Tensor
  /** float32 [N], nats; the pass through the head gives them with its gradient. */
  readonly loss_N: Tensor
  readonly factors: LinearFactors
}

/**
 * What the gradient of every trained linear layer is made of, of the sum over samples of each one's mean loss: full training and LoRA, whose A
 * and B are linear layers both. Embedding, head, norms and biases are no such layers.
 * Belongs to the current scope; the model's gradients stay as they are.
 *
 * @param batch  One sample a row or packed; in evaluation mode, without dropout.
 */
export function linearFactors(
  model: CausalLM,
  batch: Batch,
  { autocastDtype }: { readonly autocastDtype?: DType | undefined } = {},
): LinearFactors {
  const inputs = toModelInputs(batch, model.device)
  return factoredForward(model, inputs, labelledPositions(batch, model.device), autocastDtype).factors
}

/** {@link linearFactors} with the states and losses of the same forward. */
export function factoredForward(
  model: CausalLM,
  inputs: ModelInputs,
  labelled: LabelledPositions,
  autocastDtype: DType | undefined,
): FactoredForward {
  const { device } = model
  const { samples } = inputs.batch
  const { layers, sampleOf_P, ...seen } = runTappedForward(model, inputs, { autocastDtype }, (hidden_BTD) => {
    if (labelled.count === 0) {
      return { loss_N: zeros([0], { device }), gradient_BTD: zerosLike(hidden_BTD) }
    }
    const share_N = Float32Array.from(labelled.sampleOf, (sample) => 1 / samples[sample]!.numLabels)
    const { loss_N, gradient_ND } = chunkedCrossEntropy(
      labelled.select(hidden_BTD),
      // Without a gradient of its own: this is no training step.
      detach(model.headWeight),
      labelled.labels_N,
      tensor(share_N, [labelled.count], { device }),
      { computeDtype: autocastDtype },
    )
    return { loss_N, gradient_BTD: labelled.scatter(gradient_ND) }
  })
  const tensors = layers.flatMap(({ input_PI, gradient_PO }) => [input_PI, gradient_PO])
  const factors: LinearFactors = {
    layers,
    sampleOf_P,
    [Symbol.dispose]() {
      for (const one of tensors) one.dispose()
    },
  }
  return { ...seen, factors }
}
