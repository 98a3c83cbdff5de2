import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHAT_TEMPLATE_FILE, CHAT_TEMPLATE_FOLDER } from '../../hub/index.js'
import type { CausalLM } from '../decoder/causal-lm.js'
import { saveAdapterFolder } from '../lora/adapter-folder.js'
import { modelSource } from './model-source.js'
import {
  copyTokenizerFiles,
  type SaveModelOptions,
  saveModelFolder,
  writeGenerationConfig,
} from './save-model.js'
import { withStopTokens } from './stop-tokens.js'

/** What a folder of trained weights says about where they came from. */
export interface SaveTrainedOptions extends SaveModelOptions {
  /** Folder or hub id of the model that the adapter belongs to. */
  readonly baseModel?: string | undefined
  /** Text of the chat template it was trained with, where that is not the tokenizer's own. */
  readonly chatTemplate?: string | undefined
}

/**
 * Writes what was trained: a PEFT adapter folder for a model with adapters, else a Hugging Face model folder; with the
 * tokenizer, and the chat template that whoever talks to the model has to use.
 */
export function saveTrainedModel(model: CausalLM, folder: string, options: SaveTrainedOptions = {}): void {
  const { tokenizerFolder, chatTemplate } = options
  if (model.lora === undefined) saveModelFolder(model, folder, options)
  else {
    saveAdapterFolder(model, folder, options)
    // PEFT reads the base model's; whoever merges, or generates with the adapter, finds here where to stop.
    const source = modelSource(model)
    writeGenerationConfig(
      folder,
      withStopTokens(source?.generationConfig, source?.config ?? {}, options.stopIds ?? []),
    )
    if (tokenizerFolder !== undefined) copyTokenizerFiles(tokenizerFolder, folder)
  }
  if (chatTemplate === undefined) return
  writeFileSync(join(folder, CHAT_TEMPLATE_FILE), chatTemplate)
  // Those of the tokenizer, which it was not trained with, would be taken for conversations with tools.
  rmSync(join(folder, CHAT_TEMPLATE_FOLDER), { recursive: true, force: true })
}
