/** B rows, T positions, D width, V vocabulary, E head size. */
import {
  autocastActive,
  indexSelect,
  linear,
  mul,
  narrow,
  nn,
  reshape,
  type Tensor,
  toDType,
  unsqueeze,
  view,
} from '@adapt-ts/torch'
import type { ModelConfig } from '../dimensions/model-config.js'
import type { LoraConfig } from '../lora/lora-config.js'
import { DecoderBlock } from './decoder-block.js'
import type { Rotation } from './forward-context.js'
import { inverseFrequencies } from './rope-scaling.js'

const { Embedding, Linear, Module, RMSNorm, RotaryTable } = nn

/** Embedding, blocks and final norm; field names are those of the checkpoint. */
class DecoderBody extends Module<[Tensor], Tensor> {
  readonly embed_tokens: InstanceType<typeof Embedding>
  readonly layers: DecoderBlock[]
  readonly norm: InstanceType<typeof RMSNorm>

  constructor(config: ModelConfig) {
    super()
    this.embed_tokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.layers = Array.from(
      { length: config.numHiddenLayers },
      (_, layer) => new DecoderBlock(config, layer),
    )
    this.norm = new RMSNorm(config.hiddenSize, { eps: config.rmsNormEps })
  }

  /** int64 [B, T] -> float32 [B, T, D]: the residual stream is float32 whatever the embedding is stored in. */
  forward(tokens_BT: Tensor): Tensor {
    const embedded_BTD = this.embed_tokens.forward(tokens_BT)
    return embedded_BTD.dtype === 'float32' ? embedded_BTD : toDType(embedded_BTD, 'float32')
  }
}

/**
 * A decoder of the Llama family (Touvron et al. 2023): grouped-query attention, RMSNorm, rotary positions, SwiGLU,
 * with the biases, head norms and sliding windows of its relatives as the config says. Parameter names equal Hugging
 * Face's; a tied head has no `lm_head.weight`. Parameters are float32 zeros until `initialiseModel` or a checkpoint
 * fills them.
 */
export class CausalLM extends Module<[Tensor], Tensor> {
  readonly config: ModelConfig
  readonly model: DecoderBody
  readonly lm_head: InstanceType<typeof Linear> | undefined
  /** Set while the model has adapters: then they alone are trained. See `addLora`. */
  lora: LoraConfig | undefined
  private rotary: InstanceType<typeof RotaryTable> | undefined
  private numRotaryPositions = 0

  constructor(config: ModelConfig) {
    super()
    this.config = config
    this.lora = undefined
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

  /** Logits of hidden states [..., D] -> [..., V], in the dtype of the hidden states or of autocast. */
  forward(hidden: Tensor): Tensor {
    const head = this.headWeight
    const fits = autocastActive() || head.dtype === hidden.dtype
    return linear(hidden, fits ? head : toDType(head, hidden.dtype))
  }

  /**
   * Tables for the rows' positions, or for start .. start+length-1 in every row. Belongs to the current scope.
   * @param position_BT  int64 [B, T], every one below start + length.
   */
  rotation(position_BT: Tensor | undefined, length: number, start = 0): Rotation {
    const { headDim: E, maxPositionEmbeddings } = this.config
    const end = start + length
    if (end > this.numRotaryPositions || this.rotary?.cos.device !== this.device) {
      // Grown as needed: a config may name far more positions than any batch has.
      this.rotary?.dispose()
      this.numRotaryPositions = Math.min(maxPositionEmbeddings, 2 ** Math.ceil(Math.log2(end)))
      this.rotary = new RotaryTable(E, this.numRotaryPositions, {
        inverseFrequencies: inverseFrequencies(this.config),
        device: this.device,
      })
    }
    const rotary = this.rotary!
    const gather = (table: Tensor): Tensor => {
      if (!position_BT) return view(narrow(table, 0, start, length), [1, length, 1, E])
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
