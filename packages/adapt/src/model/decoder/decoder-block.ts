/** B rows, T positions, D width, H heads, K key/value heads, E head size. */
import { add, nn, recomputeInBackward, type Tensor, view } from '@adapt-ts/torch'
import { isSlidingLayer, type ModelConfig } from '../dimensions/model-config.js'
import { attendSequences } from './attend-sequences.js'
import { after, attend, attendGroups } from './attention.js'
import type { ForwardContext } from './forward-context.js'
import { Projection } from './projection.js'

const { Module, RMSNorm, applyRotary, swiglu } = nn

/** Frees what linear layers read, unless their gradients of single samples are made of it. */
function release(input: Tensor, readers: readonly Tensor[], { taps }: ForwardContext): void {
  if (!taps) recomputeInBackward(input, readers)
}

class Attention extends Module<[Tensor, ForwardContext], Tensor> {
  readonly q_proj: Projection
  readonly k_proj: Projection
  readonly v_proj: Projection
  readonly o_proj: Projection
  readonly q_norm: InstanceType<typeof RMSNorm> | undefined
  readonly k_norm: InstanceType<typeof RMSNorm> | undefined

  constructor(
    private readonly config: ModelConfig,
    private readonly layer: number,
  ) {
    super()
    const { hiddenSize: D, numAttentionHeads: H, numKeyValueHeads: K, headDim: E, rmsNormEps: eps } = config
    const bias = config.attentionBias ?? false
    this.q_proj = new Projection(D, H * E, { bias })
    this.k_proj = new Projection(D, K * E, { bias })
    this.v_proj = new Projection(D, K * E, { bias })
    this.o_proj = new Projection(H * E, D, { bias: config.outputBias ?? false })
    this.q_norm = config.qkNorm ? new RMSNorm(E, { eps }) : undefined
    this.k_norm = config.qkNorm ? new RMSNorm(E, { eps }) : undefined
  }

  /** [B, T, D] -> [B, T, D]; frees its input. */
  forward(x_BTD: Tensor, context: ForwardContext): Tensor {
    const { headDim: E } = this.config
    const { rotation, cache } = context
    const [B, T] = x_BTD.shape as [number, number]
    const projected = [this.q_proj, this.k_proj, this.v_proj].map((layer) => layer.forward(x_BTD, context))
    release(x_BTD, projected, context)
    const [q_BTHE, k_BTKE, v_BTKE] = projected.map((x) => view(x, [B, T, -1, E])) as [Tensor, Tensor, Tensor]
    // The products of attention run in the dtype of v.
    const { dtype } = v_BTKE
    const query = applyRotary(
      this.q_norm?.forward(q_BTHE) ?? q_BTHE,
      rotation.cosQuery,
      rotation.sinQuery,
      dtype,
    )
    const key = applyRotary(this.k_norm?.forward(k_BTKE) ?? k_BTKE, rotation.cosKey, rotation.sinKey, dtype)
    const isSliding = isSlidingLayer(this.config, this.layer)
    const [keys, values] = cache
      ? cache.append(this.layer, key, v_BTKE, isSliding ? this.config.slidingWindow : undefined)
      : [key, v_BTKE]
    return this.o_proj.forward(this.attend(query, keys, values, context, isSliding), context)
  }

  private attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    context: ForwardContext,
    isSliding: boolean,
  ): Tensor {
    const { sequences, groups, before } = context
    const held = before?.held(this.layer)
    if (sequences) {
      const window = isSliding ? this.config.slidingWindow : undefined
      return attendSequences(query, after(held?.[0], keys), after(held?.[1], values), sequences, window)
    }
    if (groups) return attendGroups(query, keys, values, groups, { isSliding, before: held })
    return attend(query, keys, values, isSliding ? context.slidingMask : context.mask)
  }
}

class MLP extends Module<[Tensor, ForwardContext], Tensor> {
  readonly gate_proj: Projection
  readonly up_proj: Projection
  readonly down_proj: Projection

  constructor({ hiddenSize: D, intermediateSize: F, mlpBias: bias = false }: ModelConfig) {
    super()
    this.gate_proj = new Projection(D, F, { bias })
    this.up_proj = new Projection(D, F, { bias })
    this.down_proj = new Projection(F, D, { bias })
  }

  /** [B, T, D] -> [B, T, D]; frees its input. */
  forward(x_BTD: Tensor, context: ForwardContext): Tensor {
    const gate = this.gate_proj.forward(x_BTD, context)
    const up = this.up_proj.forward(x_BTD, context)
    release(x_BTD, [gate, up], context)
    const gated = swiglu(gate, up)
    const output = this.down_proj.forward(gated, context)
    release(gated, [output], context)
    return output
  }
}

/** One block: x + attention(norm(x)), then x + mlp(norm(x)). */
export class DecoderBlock extends Module<[Tensor, ForwardContext], Tensor> {
  readonly self_attn: Attention
  readonly mlp: MLP
  readonly input_layernorm: InstanceType<typeof RMSNorm>
  readonly post_attention_layernorm: InstanceType<typeof RMSNorm>

  constructor(config: ModelConfig, layer: number) {
    super()
    this.self_attn = new Attention(config, layer)
    this.mlp = new MLP(config)
    this.input_layernorm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
    this.post_attention_layernorm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
  }

  /** [B, T, D] -> [B, T, D], in the dtype of the region; the residual stream stays in that of the embedding. */
  forward(x_BTD: Tensor, context: ForwardContext): Tensor {
    // One conversion for all projections that read a norm: each would make its own, and one more for its gradient.
    const { computeDtype } = context
    const attended = add(x_BTD, this.self_attn.run(this.input_layernorm.run(x_BTD, computeDtype), context))
    return add(attended, this.mlp.run(this.post_attention_layernorm.run(attended, computeDtype), context))
  }
}
