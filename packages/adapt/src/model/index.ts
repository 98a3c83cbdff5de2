export {
  type AttentionGroup,
  type AttentionMask,
  attentionGroups,
  attentionMask,
  packedMask,
} from './attention.js'
export { CausalLM } from './causal-lm.js'
export { type CreateModelOptions, createModel } from './create-model.js'
export { DecoderBlock } from './decoder-block.js'
export type { ForwardContext, Rotation } from './forward-context.js'
export {
  embedTokens,
  type ForwardOptions,
  type ForwardPass,
  forwardCached,
  runForward,
} from './forward-pass.js'
export { toHuggingFaceConfig } from './huggingface-config.js'
export { initialiseModel } from './initialise.js'
export { KeyValueCache } from './key-value-cache.js'
export { type LoadModelOptions, loadModelFolder, type ModelDType, readModelConfig } from './load-model.js'
export * from './lora/index.js'
export {
  ARCHITECTURES,
  type Architecture,
  assertModelConfig,
  countParameters,
  LLAMA_PRESETS,
  type LlamaPreset,
  type ModelConfig,
  type RopeScaling,
} from './model-config.js'
export { type ModelInputs, toModelInputs } from './model-inputs.js'
export { type ModelSource, modelSource } from './model-source.js'
export { parseModelConfig } from './parse-model-config.js'
export { Projection } from './projection.js'
export { describeMissingModel } from './refuse-model.js'
export { type SaveModelOptions, saveModelFolder } from './save-model.js'
export { type SaveTrainedOptions, saveTrainedModel } from './save-trained-model.js'
export { parseShardSize } from './shard-plan.js'
export { readStopTokens } from './stop-tokens.js'
export { hasWeights } from './weight-files.js'
