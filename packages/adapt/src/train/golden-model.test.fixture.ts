import { full, mean, noGrad, scope } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedCrossEntropy, labelledPositions } from '../loss/index.js'
import { withoutPadding } from '../model/golden.test.fixture.js'
import { type CausalLM, type ForwardOptions, runForward, toModelInputs } from '../model/index.js'

/** What one forward and backward of the mean loss give; gradients are left in the parameters. */
export function runMeanLoss(model: CausalLM, batch: Batch, options: ForwardOptions = {}) {
  return scope(() => {
    const labelled = labelledPositions(batch, model.device)
    const pass = runForward(model, toModelInputs(batch, model.device), options)
    const logits_BTV = noGrad(() => model.run(pass.hidden_BTD))
    const { loss_N, gradient_ND } = chunkedCrossEntropy(
      labelled.select(pass.hidden_BTD),
      model.headWeight,
      labelled.labels_N,
      full([labelled.count], 1 / labelled.count, { device: model.device }),
      { chunkSize: 7 },
    )
    pass.backward(labelled.scatter(gradient_ND))
    return {
      loss: mean(loss_N).item(),
      numLabels: labelled.count,
      /** Row-major [N, V] of the tokens that are no padding, in the order of the packed row. */
      logits_NV: withoutPadding(logits_BTV.toFloat32Array(), batch),
    }
  })
}

/** The values of a model's adapter by PEFT's names. */
export function adapterValues(values: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> {
  const isAdapter = /\.lora\.([AB])$/
  return new Map(
    [...values]
      .filter(([name]) => isAdapter.test(name))
      .map(([name, value]) => [`base_model.model.${name.replace(isAdapter, '.lora_$1.weight')}`, value]),
  )
}
