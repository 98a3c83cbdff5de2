/** B rows, T positions, D width, V vocabulary, H heads, K key/value heads, E head size. */
import {
  add,
  indexSelect,
  linear,
  mul,
  narrow,
  nn,
  reshape,
  silu,
  type Tensor,
  toDType,
  unsqueeze,
  view,
} from '@adapt-ts/torch'
import { type AttentionMask, attend } from './attention.js'
import type { ModelConfig } from './model-config.js'

const { Embedding, Linear, Module, RMSNorm, RotaryTable, applyRotary } = nn

/** Rotation tables of the positions of one forward: float32 [B or 1, T, 1, E]; those of q carry 1 / sqrt(E). */
export interface Rotation {
  readonly cosQuery: Tensor
  readonly sinQuery: Tensor
  readonly cosKey: Tensor
  readonly sinKey: Tensor
}

class Attention extends Module<[Tensor, Rotation, AttentionMask], Tensor> {
  readonly q_proj: InstanceType<typeof Linear>
  readonly k_proj: InstanceType<typeof Linear>
  readonly v_proj: InstanceType<typeof Linear>
  readonly o_proj: InstanceType<typeof Linear>
  private readonly config: ModelConfig

  constructor(config: ModelConfig) {
    super()
    const { hiddenSize: D, numAttentionHeads: H, numKeyValueHeads: K, headDim: E } = config
    this.config = config
    this.q_proj = new Linear(D, H * E)
    this.k_proj = new Linear(D, K * E)
    this.v_proj = new Linear(D, K * E)
    this.o_proj = new Linear(H * E, D)
  }

  forward(x_BTD: Tensor, rotation: Rotation, mask: AttentionMask): Tensor {
    const { numAttentionHeads: H, numKeyValueHeads: K, headDim: E } = this.config
    const [B, T] = x_BTD.shape as [number, number]
    const q_BTHE = applyRotary(
      view(this.q_proj.forward(x_BTD), [B, T, H, E]),
      rotation.cosQuery,
      rotation.sinQuery,
    )
    const k_BTKE = applyRotary(
      view(this.k_proj.forward(x_BTD), [B, T, K, E]),
      rotation.cosKey,
      rotation.sinKey,
    )
    const v_BTKE = view(this.v_proj.forward(x_BTD), [B, T, K, E])
    // Rotation in float32 tables promotes; the products of attention run in the dtype of v.
    const dtype = v_BTKE.dtype
    const same = (t: Tensor) => (t.dtype === dtype ? t : toDType(t, dtype))
    return this.o_proj.forward(attend(same(q_BTHE), same(k_BTKE), v_BTKE, mask))
  }
}

class MLP extends Module {
  readonly gate_proj: InstanceType<typeof Linear>
  readonly up_proj: InstanceType<typeof Linear>
  readonly down_proj: InstanceType<typeof Linear>

  constructor({ hiddenSize: D, intermediateSize: F }: ModelConfig) {
    super()
    this.gate_proj = new Linear(D, F)
    this.up_proj = new Linear(D, F)
    this.down_proj = new Linear(F, D)
  }

  forward(x_BTD: Tensor): Tensor {
    return this.down_proj.forward(mul(silu(this.gate_proj.forward(x_BTD)), this.up_proj.forward(x_BTD)))
  }
}

/** One block: x + attention(norm(x)), then x + mlp(norm(x)). */
export class DecoderBlock extends Module<[Tensor, Rotation, AttentionMask], Tensor> {
  readonly self_attn: Attention
  readonly mlp: MLP
  readonly input_layernorm: InstanceType<typeof RMSNorm>
  readonly post_attention_layernorm: InstanceType<typeof RMSNorm>

  constructor(config: ModelConfig) {
    super()
    this.self_attn = new Attention(config)
    this.mlp = new MLP(config)
    this.input_layernorm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
    this.post_attention_layernorm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
  }

  /** [B, T, D] -> [B, T, D], in the dtype of the region; the residual stream stays in that of the embedding. */
  forward(x_BTD: Tensor, rotation: Rotation, mask: AttentionMask): Tensor {
    const attended = add(x_BTD, this.self_attn.run(this.input_layernorm.run(x_BTD), rotation, mask))
    return add(attended, this.mlp.run(this.post_attention_layernorm.run(attended)))
  }
}

/** Embedding, blocks and final norm; field names are those of the checkpoint. */
class DecoderBody extends Module<[Tensor], Tensor> {
  readonly embed_tokens: InstanceType<typeof Embedding>
  readonly layers: DecoderBlock[]
  readonly norm: InstanceType<typeof RMSNorm>

  constructor(config: ModelConfig) {
    super()
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.layers = Array.from({ length: config.numHiddenLayers }, () => new DecoderBlock(config))
    this.norm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
  }

  forward(tokens_BT: Tensor): Tensor {
    return this.embed_tokens.forward(tokens_BT)
  }
}

/**
 * Llama (Touvron et al. 2023) with grouped-query attention, RMSNorm, rotary positions and SwiGLU. Parameter names
 * equal Hugging Face's LlamaForCausalLM; a tied head has no `lm_head.weight`. Parameters are float32 zeros until
 * `initialiseModel` or a checkpoint fills them.
 */
export class CausalLM extends Module<[Tensor], Tensor> {
  readonly config: ModelConfig
  readonly model: DecoderBody
  readonly lm_head: InstanceType<typeof Linear> | undefined
  private rotary: InstanceType<typeof RotaryTable> | undefined
  private numRotaryPositions = 0

  constructor(config: ModelConfig) {
    super()
    this.config = config
    this.model = new DecoderBody(config)
    this.lm_head = config.tieWordEmbeddings ? undefined : new Linear(config.hiddenSize, config.vocabSize)
  }

  /** The output projection [V, D]: its own matrix, or the embedding when tied. */
  get headWeight(): nn.Parameter {
    return this.lm_head ? this.lm_head.weight : this.model.embed_tokens.weight
  }

  /** Where the parameters are. */
  get device(): string {
    return this.headWeight.device
  }

  /** Logits of hidden states [..., D] -> [..., V]. */
  forward(hidden: Tensor): Tensor {
    return linear(hidden, this.headWeight)
  }

  /** Tables for the rows' positions, or for 0 .. length-1 in every row. Belongs to the current scope. */
  rotation(position_BT: Tensor | undefined, length: number): Rotation {
    const { headDim: E, maxPositionEmbeddings, ropeTheta } = this.config
    if (length > this.numRotaryPositions) {
      // Grown as needed: a config may name far more positions than any batch has.
      this.rotary?.dispose()
      this.numRotaryPositions = Math.min(maxPositionEmbeddings, 2 ** Math.ceil(Math.log2(length)))
      this.rotary = new RotaryTable(E, this.numRotaryPositions, { theta: ropeTheta, device: this.device })
    }
    const rotary = this.rotary!
    const gather = (table: Tensor): Tensor => {
      if (!position_BT) return view(narrow(table, 0, 0, length), [1, length, 1, E])
      const [B, T] = position_BT.shape as [number, number]
      return unsqueeze(view(indexSelect(table, 0, reshape(position_BT, [B * T])), [B, T, E]), 2)
    }
    const cosKey = gather(rotary.cos)
    const sinKey = gather(rotary.sin)
    const scale = 1 / Math.sqrt(E)
    return { cosKey, sinKey, cosQuery: mul(cosKey, scale), sinQuery: mul(sinKey, scale) }
  }

  override dispose(): void {
    super.dispose()
    this.rotary?.dispose()
    this.rotary = undefined
    this.numRotaryPositions = 0
  }
}
