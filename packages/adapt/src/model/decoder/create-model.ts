import { type Device, nn } from '@adapt-ts/torch'
import type { LlamaPreset, ModelConfig } from '../dimensions/model-config.js'
import { resolveDimensions } from '../dimensions/resolve-dimensions.js'
import { CausalLM } from './causal-lm.js'
import { initialiseModel } from './initialise.js'

/** Dimensions that differ from the preset's, and the seed of the initial weights. */
export interface CreateModelOptions extends Partial<ModelConfig> {
  /** Default 0. */
  readonly seed?: number
  /** Where the parameters are made: `cpu`, `cuda`, `cuda:N`, `mps`. Default cpu. A seed gives the same weights on each. */
  readonly device?: Device
}

/**
 * A new Llama with random float32 weights, initialised as Hugging Face does; equal seeds give equal weights.
 * `headDim` follows from `hiddenSize` and `numAttentionHeads` when one of those is given and it is not.
 *
 * @param shape  A preset's name or all dimensions. A preset's vocabulary is seldom a tokenizer's: give `vocabSize`.
 * @returns The model on `device`. Caller disposes (`using`).
 * @throws {ConfigError} UNKNOWN_PRESET; BAD_MODEL_CONFIG when the dimensions do not fit each other.
 * @example
 * using model = createModel('llama-1m', { vocabSize: tokenizer.vocabSize, seed: 7 })
 */
export function createModel(shape: LlamaPreset | ModelConfig, options: CreateModelOptions = {}): CausalLM {
  const { seed = 0, device, ...overrides } = options
  const dimensions = resolveDimensions(shape, overrides)
  const model = nn.withParameterDefaults(
    device === undefined ? {} : { device },
    () => new CausalLM(dimensions),
  )
  initialiseModel(model, seed)
  return model
}
