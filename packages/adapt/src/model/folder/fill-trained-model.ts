import { noGrad } from '@adapt-ts/torch'
import type { CausalLM } from '../decoder/causal-lm.js'
import { fillAdapters } from '../lora/adapter-folder.js'
import { WeightFiles } from './weight-files.js'

/**
 * Fills what is trained of a model, its adapters or all of it, from a folder that `saveTrainedModel` wrote of the same model.
 * @throws {TorchError} NO_SUCH_TENSOR, SHAPE_MISMATCH where the folder is another model's.
 */
export function fillTrainedModel(model: CausalLM, folder: string): void {
  if (model.lora !== undefined) {
    fillAdapters(model, folder)
    return
  }
  using weights = WeightFiles.open(folder)
  noGrad(() => {
    for (const [name, parameter] of model.namedParameters()) weights.readInto(name, parameter)
  })
}
