export { type AttentionMask, attentionMask } from './attention.js'
export { type CreateLlamaOptions, createLlama } from './create-llama.js'
export { embedTokens, type ForwardOptions, type ForwardPass, runForward } from './forward-pass.js'
export { initialiseLlama } from './initialise.js'
export { Llama, LlamaBlock, type Rotation } from './llama.js'
export {
  assertLlamaConfig,
  countParameters,
  LLAMA_PRESETS,
  type LlamaConfig,
  type LlamaPreset,
  parseLlamaConfig,
  toHuggingFaceConfig,
} from './llama-config.js'
export { loadModelFolder, type SaveModelOptions, saveModelFolder } from './model-folder.js'
export { type ModelInputs, toModelInputs } from './model-inputs.js'
