import { ConfigError } from '../../errors.js'
import { disagree, isSet, type Json, readFlag, readSize, refuse } from './config-values.js'
import type { Architecture, ModelConfig } from './model-config.js'

type Window = Pick<ModelConfig, 'slidingWindow' | 'slidingLayers'>

/**
 * Which layers slide, as transformers decides it: Llama's do not; Mistral's all do when a window is set; Qwen's only with
 * `use_sliding_window`, from `max_window_layers` on. `layer_types` says it layer by layer and wins over the latter.
 * @throws {ConfigError} UNSUPPORTED_MODEL, BAD_MODEL_CONFIG when the keys disagree.
 */
export function readSlidingWindow(json: Json, architecture: Architecture, where: string): Window {
  const numLayers = readSize(json, 'num_hidden_layers', where)
  const types = readLayerTypes(json, numLayers, where)
  if (architecture === 'LlamaForCausalLM') {
    if (isSet(json.sliding_window) && json.use_sliding_window !== false)
      refuse(where, 'sliding_window', json.sliding_window)
    if (types?.includes(true)) refuse(where, 'layer_types', json.layer_types)
    return {}
  }
  const isQwen = architecture !== 'MistralForCausalLM'
  const isUsed = isQwen ? readFlag(json, 'use_sliding_window', where) : json.sliding_window !== null
  const { sliding_window: window, use_sliding_window: use, layer_types: layerTypes } = json
  if (!isQwen && isUsed && use === false)
    disagree(where, ['sliding_window', window ?? 4096], ['use_sliding_window', use])
  if (isQwen && isUsed && window === null)
    disagree(where, ['use_sliding_window', use], ['sliding_window', window])
  if (!isUsed) {
    const off = isQwen
      ? (['use_sliding_window', use ?? false] as const)
      : (['sliding_window', window] as const)
    if (types?.includes(true)) disagree(where, off, ['layer_types', layerTypes])
    return {}
  }
  const slidingWindow = readSize(json, 'sliding_window', where, 4096)
  if (types !== undefined) return types.includes(true) ? { slidingWindow, slidingLayers: types } : {}
  if (!isQwen) return { slidingWindow }
  const first = json.max_window_layers === 0 ? 0 : readSize(json, 'max_window_layers', where, 28)
  if (first >= numLayers) return {}
  return { slidingWindow, slidingLayers: Array.from({ length: numLayers }, (_, layer) => layer >= first) }
}

/** `layer_types` as one flag a layer; undefined without the key. */
function readLayerTypes(json: Json, numLayers: number, where: string): readonly boolean[] | undefined {
  const types = json.layer_types
  if (!isSet(types)) return undefined
  if (!Array.isArray(types)) return refuse(where, 'layer_types', types)
  if (types.length !== numLayers) {
    throw new ConfigError(
      'BAD_MODEL_CONFIG',
      `${where}: layer_types has ${types.length} entries, num_hidden_layers is ${numLayers}; both must be the same`,
    )
  }
  return types.map((type) => {
    if (type !== 'full_attention' && type !== 'sliding_attention') refuse(where, 'layer_types', type)
    return type === 'sliding_attention'
  })
}
