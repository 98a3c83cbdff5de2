import { countParameters, type ModelConfig } from '../model/dimensions/model-config.js'
import { projectionShapes } from '../model/dimensions/projection-shapes.js'
import { chooseTargets } from '../model/lora/target-modules.js'

/** Adapters on the layers whose names end alike. */
export interface AdapterCount {
  /** Last part of the layers' names, such as q_proj. */
  readonly target: string
  readonly layers: number
  readonly parameters: number
}

/** Parameters of a run's model, counted from its dimensions. */
export interface ParameterEstimate {
  /** The model and its adapters. */
  readonly total: number
  readonly trainable: number
  /** Embedding and head; once when they are tied. */
  readonly embedding: number
  /** Without embedding, head and adapters. */
  readonly nonEmbedding: number
  /** r (in + out) for each adapted layer; empty without adapters. */
  readonly adapters: readonly AdapterCount[]
}

/** Adapters: their rank and the layers that have one, as in {@link chooseTargets}. */
export interface AdapterSpec {
  readonly r: number
  readonly targetModules: readonly string[] | string
}

/** Full names of the layers that would have an adapter. @throws {ConfigError} BAD_LORA when a target names none. */
export function adaptedLayers(config: ModelConfig, { targetModules }: AdapterSpec): ReadonlySet<string> {
  const projections = projectionShapes(config).map(({ name }) => name)
  const blocks = Array.from({ length: config.numHiddenLayers }, (_, layer) => `model.layers.${layer}`)
  const inBlock = ['self_attn', 'mlp', 'input_layernorm', 'post_attention_layernorm']
  const others = [
    ...['model', 'model.embed_tokens', 'model.norm'],
    ...blocks.flatMap((block) => [block, ...inBlock.map((name) => `${block}.${name}`)]),
  ]
  return chooseTargets({ projections, others }, targetModules)
}

/** @throws {ConfigError} BAD_LORA when a target names no layer. */
export function estimateParameters(config: ModelConfig, lora?: AdapterSpec): ParameterEstimate {
  const { total: base, nonEmbedding } = countParameters(config)
  const counts = new Map<string, { layers: number; parameters: number }>()
  if (lora !== undefined) {
    const adapted = adaptedLayers(config, lora)
    for (const { name, inFeatures, outFeatures } of projectionShapes(config)) {
      if (!adapted.has(name)) continue
      const target = name.split('.').at(-1)!
      const count = counts.get(target) ?? { layers: 0, parameters: 0 }
      count.layers += 1
      count.parameters += lora.r * (inFeatures + outFeatures)
      counts.set(target, count)
    }
  }
  const adapters = [...counts].map(([target, count]) => ({ target, ...count }))
  const numAdapter = adapters.reduce((sum, { parameters }) => sum + parameters, 0)
  return {
    total: base + numAdapter,
    trainable: lora === undefined ? base : numAdapter,
    embedding: base - nonEmbedding,
    nonEmbedding,
    adapters,
  }
}
