import { autocastActive, linear, nn, type Tensor, toDType, zeros } from '@adapt-ts/torch'
import type { ForwardContext } from './forward-context.js'
import type { LoraAdapter } from './lora/lora-adapter.js'

const { Module, Parameter } = nn

/** y = x W^T + b, and with a LoRA adapter the adapter's part on top. weight [outFeatures, inFeatures]. */
export class Projection extends Module<[Tensor, ForwardContext], Tensor> {
  readonly weight: nn.Parameter
  readonly bias: nn.Parameter | undefined
  lora: LoraAdapter | undefined

  constructor(inFeatures: number, outFeatures: number, { bias = false }: { bias?: boolean } = {}) {
    super()
    this.weight = new Parameter(zeros([outFeatures, inFeatures]))
    this.bias = bias ? new Parameter(zeros([outFeatures])) : undefined
    this.lora = undefined
  }

  /** [..., inFeatures] -> [..., outFeatures]; weights of another dtype are converted where autocast does not. */
  forward(x: Tensor, context: ForwardContext): Tensor {
    const y = linear(x, fitting(this.weight, x), this.bias && fitting(this.bias, x))
    return this.lora ? this.lora.forward(y, x, context) : y
  }
}

function fitting(weight: nn.Parameter, x: Tensor): Tensor {
  return autocastActive() || weight.dtype === x.dtype ? weight : toDType(weight, x.dtype)
}
