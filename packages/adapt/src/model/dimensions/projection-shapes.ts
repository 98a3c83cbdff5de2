import type { ModelConfig } from './model-config.js'

/** A linear layer of the blocks, without the engine: its full name and the sizes of its weight [out, in]. */
export interface ProjectionShape {
  readonly name: string
  readonly inFeatures: number
  readonly outFeatures: number
}

/** The linear layers that a model of these dimensions has, in field order. */
export function projectionShapes(config: ModelConfig): readonly ProjectionShape[] {
  const { hiddenSize: d, intermediateSize: f, headDim: e, numHiddenLayers } = config
  const [q, kv] = [config.numAttentionHeads * e, config.numKeyValueHeads * e]
  const block: readonly (readonly [string, number, number])[] = [
    ['self_attn.q_proj', d, q],
    ['self_attn.k_proj', d, kv],
    ['self_attn.v_proj', d, kv],
    ['self_attn.o_proj', q, d],
    ['mlp.gate_proj', d, f],
    ['mlp.up_proj', d, f],
    ['mlp.down_proj', f, d],
  ]
  return Array.from({ length: numHiddenLayers }, (_, layer) =>
    block.map(([name, inFeatures, outFeatures]) => ({
      name: `model.layers.${layer}.${name}`,
      inFeatures,
      outFeatures,
    })),
  ).flat()
}
