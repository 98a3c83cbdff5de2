import type { CausalLM } from '../decoder/causal-lm.js'
import type { JsonObject } from '../dimensions/read-model-json.js'

/** What a loaded model keeps of its folder besides weights, so that it can be saved as it came. */
export interface ModelSource {
  /** Absolute; it may be gone by the time the model is saved. */
  readonly folder: string
  /** config.json with keys that mean nothing here too. */
  readonly config: JsonObject
  /** generation_config.json. */
  readonly generationConfig: JsonObject | undefined
}

const sources = new WeakMap<CausalLM, ModelSource>()

/** Where a model came from; undefined for one that was initialised here. */
export function modelSource(model: CausalLM): ModelSource | undefined {
  return sources.get(model)
}

/** Keeps with a model where it came from. */
export function rememberSource(model: CausalLM, source: ModelSource): void {
  sources.set(model, source)
}
