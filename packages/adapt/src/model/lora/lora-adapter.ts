/** R rank. Any leading dimensions. */
import { add, type Device, linear, mul, nn, type Tensor, zeros } from '@adapt-ts/torch'
import type { ForwardContext } from '../decoder/forward-context.js'
import { type LoraConfig, loraScaling } from './lora-config.js'

const { Module, Parameter } = nn

/**
 * The low-rank part of an adapted linear layer (Hu et al. 2021), float32 whatever the layer is stored in:
 *
 *   y = W x + s B A dropout(x),   A [R, in], B [out, R],   s = alpha / R, or alpha / sqrt(R) with rsLoRA
 */
export class LoraAdapter extends Module<[Tensor, Tensor, ForwardContext], Tensor> {
  readonly A: nn.Parameter
  readonly B: nn.Parameter
  readonly scaling: number
  private readonly dropout: number

  /** @param number  Number of the module within the model; dropout is a function of it. */
  constructor(
    inFeatures: number,
    outFeatures: number,
    config: LoraConfig,
    private readonly number: number,
    device: Device,
  ) {
    super()
    this.A = new Parameter(zeros([config.r, inFeatures], { device }))
    this.B = new Parameter(zeros([outFeatures, config.r], { device }))
    this.scaling = loraScaling(config)
    this.dropout = config.loraDropout
  }

  /**
   * Adds the adapter's part to what the layer gave.
   * @param y [..., out] @param x [..., in], the input of the layer. @returns [..., out] in the dtype of y.
   */
  forward(y: Tensor, x: Tensor, { dropout, taps }: ForwardContext): Tensor {
    const drops = this.training && this.dropout > 0 && dropout !== undefined
    const input = drops ? dropout.apply(x, this.number, this.dropout) : x
    const narrow = linear(input, this.A)
    const scaled = mul(narrow, this.scaling)
    const wide = linear(scaled, this.B)
    taps?.keep(this.A, input, narrow)
    taps?.keep(this.B, scaled, wide)
    return add(y, wide)
  }
}
