import type { CausalLM } from './causal-lm.js'
import { saveAdapterFolder } from './lora/adapter-folder.js'
import { copyTokenizerFiles, type SaveModelOptions, saveModelFolder } from './save-model.js'

/** What a folder of trained weights says about where they came from. */
export interface SaveTrainedOptions extends SaveModelOptions {
  /** Folder or hub id of the model that the adapter belongs to. */
  readonly baseModel?: string | undefined
}

/** Writes what was trained: a PEFT adapter folder for a model with adapters, else a Hugging Face model folder. */
export function saveTrainedModel(model: CausalLM, folder: string, options: SaveTrainedOptions = {}): void {
  if (model.lora === undefined) {
    saveModelFolder(model, folder, options)
    return
  }
  saveAdapterFolder(model, folder, options)
  if (options.tokenizerFolder !== undefined) copyTokenizerFiles(options.tokenizerFolder, folder)
}
