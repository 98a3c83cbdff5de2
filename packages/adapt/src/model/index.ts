export {
  type AttentionGroup,
  type AttentionMask,
  attentionGroups,
  attentionMask,
  packedMask,
} from './decoder/attention.js'
export { CausalLM } from './decoder/causal-lm.js'
export { type CreateModelOptions, createModel } from './decoder/create-model.js'
export { DecoderBlock } from './decoder/decoder-block.js'
export { type FillOptions, fillCache, forwardCached } from './decoder/forward-cached.js'
export type { ForwardContext, Rotation } from './decoder/forward-context.js'
export {
  embedTokens,
  type ForwardOptions,
  type ForwardPass,
  inEvaluation,
  runForward,
  runTappedForward,
  type TappedForward,
} from './decoder/forward-pass.js'
export { initialiseModel } from './decoder/initialise.js'
export { KeyValueCache } from './decoder/key-value-cache.js'
export type { TappedLayer } from './decoder/linear-taps.js'
export { type ModelInputs, toModelInputs } from './decoder/model-inputs.js'
export { Projection } from './decoder/projection.js'
export { cachePrefix, embedTree, type TokenTree, type TreeOptions } from './decoder/token-tree.js'
export { toHuggingFaceConfig } from './dimensions/huggingface-config.js'
export {
  ARCHITECTURES,
  type Architecture,
  assertModelConfig,
  countParameters,
  LLAMA_PRESETS,
  type LlamaPreset,
  type ModelConfig,
  type RopeScaling,
} from './dimensions/model-config.js'
export { parseModelConfig } from './dimensions/parse-model-config.js'
export { describeMissingModel } from './dimensions/refuse-model.js'
export { fillTrainedModel } from './folder/fill-trained-model.js'
export {
  type LoadModelOptions,
  loadModelFolder,
  type ModelDType,
  readModelConfig,
} from './folder/load-model.js'
export { type ModelSource, modelSource } from './folder/model-source.js'
export { type SaveModelOptions, saveModelFolder } from './folder/save-model.js'
export { type SaveTrainedOptions, saveTrainedModel } from './folder/save-trained-model.js'
export { parseShardSize } from './folder/shard-plan.js'
export { readStopTokens } from './folder/stop-tokens.js'
export { hasWeights } from './folder/weight-files.js'
export * from './lora/index.js'
