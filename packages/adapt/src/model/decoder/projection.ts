import { autocastActive, linear, nn, type Tensor, toDType } from '@adapt-ts/torch'
import type { LoraAdapter } from '../lora/lora-adapter.js'
import type { ForwardContext } from './forward-context.js'

const { Module, createParameter } = nn

/** y = x W^T + b, and with a LoRA adapter the adapter's part on top. weight [outFeatures, inFeatures]. */
export class Projection extends Module<[Tensor, ForwardContext], Tensor> {
  readonly weight: nn.Parameter
  readonly bias: nn.Parameter | undefined
  lora: LoraAdapter | undefined

  constructor(inFeatures: number, outFeatures: number, { bias = false }: { bias?: boolean } = {}) {
    super()
    this.weight = createParameter([outFeatures, inFeatures], 0)
    this.bias = bias ? createParameter([outFeatures], 0) : undefined
    this.lora = undefined
  }

  /** [..., inFeatures] -> [..., outFeatures]; weights of another dtype are converted where autocast does not. */
  forward(x: Tensor, context: ForwardContext): Tensor {
    const y = linear(x, fitting(this.weight, x), this.bias && fitting(this.bias, x))
    context.taps?.keep(this.weight, x, y)
    return this.lora ? this.lora.forward(y, x, context) : y
  }
}

function fitting(weight: nn.Parameter, x: Tensor): Tensor {
  return autocastActive() || weight.dtype === x.dtype ? weight : toDType(weight, x.dtype)
}
