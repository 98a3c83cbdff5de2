export { type AttentionMask, attentionMask } from './attention.js'
export { CausalLM, DecoderBlock, type Rotation } from './causal-lm.js'
export { type CreateModelOptions, createModel } from './create-model.js'
export { embedTokens, type ForwardOptions, type ForwardPass, runForward } from './forward-pass.js'
export { initialiseModel } from './initialise.js'
export {
  assertModelConfig,
  countParameters,
  LLAMA_PRESETS,
  type LlamaPreset,
  type ModelConfig,
  parseModelConfig,
  toHuggingFaceConfig,
} from './model-config.js'
export { loadModelFolder, type SaveModelOptions, saveModelFolder } from './model-folder.js'
export { type ModelInputs, toModelInputs } from './model-inputs.js'
