import { bind, hasKernel, type Operator } from '../dispatch.js'
import { TorchError } from '../errors.js'
import type { Parameter } from '../nn/module.js'
import { zeros, zerosLike } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'

/** Constants of AdamW; the defaults are PyTorch's. */
export interface AdamWOptions {
  /** Step size. Default 1e-3. */
  readonly learningRate?: number
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
  /** One kernel for the whole update instead of `_foreach_` operators. Default: where this LibTorch has it. */
  readonly fused?: boolean
}

/** Parameters that share a weight decay. */
export interface ParameterGroup {
  readonly parameters: readonly Parameter[]
  /** Decoupled decay: p *= 1 - learningRate * weightDecay. */
  readonly weightDecay: number
}

/** One parameter's moments; `step` counts its updates. */
interface Moments {
  readonly parameter: Parameter
  readonly weightDecay: number
  readonly expAvg: Tensor
  readonly expAvgSq: Tensor
  step: number
}

const foreach = (name: string, overload: string) => bind(`aten::_foreach_${name}`, overload)
const OP = {
  mul: foreach('mul_', 'Scalar'),
  add: foreach('add_', 'List'),
  addcmul: foreach('addcmul_', 'Scalar'),
  addcdiv: foreach('addcdiv_', 'Scalar'),
  sqrt: foreach('sqrt', ''),
  div: foreach('div_', 'Scalar'),
  addScalar: foreach('add_', 'Scalar'),
  fused: bind('aten::_fused_adamw_'),
} as const

/** Elements a foreach call works on at once on CPU: the lists stay in cache between the passes. */
const BLOCK_ELEMENTS = 1 << 18

/** Splits into runs of neighbours with at most BLOCK_ELEMENTS elements (a larger tensor stands alone). */
function inBlocks(list: readonly Moments[]): Moments[][] {
  const blocks: Moments[][] = []
  let room = 0
  for (const item of list) {
    const size = item.parameter.numel
    if (blocks.length === 0 || size > room) {
      blocks.push([])
      room = BLOCK_ELEMENTS
    }
    blocks[blocks.length - 1]!.push(item)
    room -= size
  }
  return blocks
}

/**
 * AdamW (Loshchilov and Hutter 2019) with PyTorch's update order. Uses the fused kernel where this LibTorch has
 * one for the device, else `_foreach_` operators.
 *
 *   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
 *   p = p (1 - lr wd) - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 */
export class AdamW {
  learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  private readonly moments: Moments[]
  private readonly byParameter: ReadonlyMap<Parameter, Moments>
  private readonly useFused: boolean

  constructor(groups: readonly ParameterGroup[], options: AdamWOptions = {}) {
    this.learningRate = options.learningRate ?? 1e-3
    this.beta1 = options.beta1 ?? 0.9
    this.beta2 = options.beta2 ?? 0.999
    this.epsilon = options.epsilon ?? 1e-8
    this.moments = groups.flatMap(({ parameters, weightDecay }) =>
      parameters
        .filter((parameter) => parameter.requiresGrad)
        .map((parameter) => ({
          parameter,
          weightDecay,
          expAvg: zerosLike(parameter).persist(),
          expAvgSq: zerosLike(parameter).persist(),
          step: 0,
        })),
    )
    this.byParameter = new Map(this.moments.map((item) => [item.parameter, item]))
    const device = this.moments[0]?.parameter.device ?? 'cpu'
    this.useFused = options.fused ?? hasKernel('aten::_fused_adamw_', '', device)
  }

  /** The parameters this optimizer updates, in the order of its state. */
  get parameters(): Parameter[] {
    return this.moments.map(({ parameter }) => parameter)
  }

  /** One update from the parameters' gradients; a parameter without a gradient is left alone. */
  step(): void {
    scope(() => {
      const active = this.moments.filter((item) => item.parameter.grad !== undefined)
      for (const item of active) item.step += 1
      // A fused or foreach call has one step count and one decay: group by both.
      const groups = new Map<string, Moments[]>()
      for (const item of active) {
        const key = `${item.step}:${item.weightDecay}`
        const group = groups.get(key)
        if (group) group.push(item)
        else groups.set(key, [item])
      }
      for (const group of groups.values()) {
        if (this.useFused) this.stepFused(group)
        else for (const block of inBlocks(group)) scope(() => this.stepForeach(block))
      }
    })
  }

  private stepFused(group: readonly Moments[]): void {
    const first = group[0]!
    const step = zeros([], { device: first.parameter.device })
    OP.addScalar([step], first.step)
    OP.fused(
      group.map(({ parameter }) => parameter),
      group.map(({ parameter }) => parameter.grad!),
      group.map(({ expAvg }) => expAvg),
      group.map(({ expAvgSq }) => expAvgSq),
      [],
      group.map(() => step),
      {
        lr: this.learningRate,
        beta1: this.beta1,
        beta2: this.beta2,
        weight_decay: first.weightDecay,
        eps: this.epsilon,
        amsgrad: false,
        maximize: false,
      },
    )
  }

  private stepForeach(group: readonly Moments[]): void {
    const { beta1, beta2, epsilon, learningRate } = this
    const { step, weightDecay } = group[0]!
    const parameters = group.map(({ parameter }) => parameterData(parameter))
    const gradients = group.map(({ parameter }) => parameter.grad!)
    const expAvgs = group.map(({ expAvg }) => expAvg)
    const expAvgSqs = group.map(({ expAvgSq }) => expAvgSq)
    if (weightDecay !== 0) OP.mul(parameters, 1 - learningRate * weightDecay)
    OP.mul(expAvgs, beta1)
    OP.add(expAvgs, gradients, { alpha: 1 - beta1 })
    OP.mul(expAvgSqs, beta2)
    OP.addcmul(expAvgSqs, gradients, gradients, 1 - beta2)
    const denominators = OP.sqrt(expAvgSqs) as Tensor[]
    OP.div(denominators, Math.sqrt(1 - beta2 ** step))
    OP.addScalar(denominators, epsilon)
    OP.addcdiv(parameters, expAvgs, denominators, -learningRate / (1 - beta1 ** step))
  }

  /** Mean square of a parameter's gradients, the optimizer's own, and how often it was updated; undefined for another's parameter. */
  secondMoment(parameter: Parameter): { readonly value: Tensor; readonly updates: number } | undefined {
    const found = this.byParameter.get(parameter)
    return found && { value: found.expAvgSq, updates: found.step }
  }

  /** Moments by parameter index, for a checkpoint; tensors stay the optimizer's own. */
  state(): { readonly steps: number[]; readonly tensors: ReadonlyMap<string, Tensor> } {
    const tensors = new Map<string, Tensor>()
    for (const [i, { expAvg, expAvgSq }] of this.moments.entries()) {
      tensors.set(`exp_avg.${i}`, expAvg)
      tensors.set(`exp_avg_sq.${i}`, expAvgSq)
    }
    return { steps: this.moments.map(({ step }) => step), tensors }
  }

  /**
   * Sets the update counts that `state` returned; the moments are filled in place by the caller.
   * @throws {TorchError} STATE_MISMATCH for counts of another number of parameters.
   */
  loadSteps(steps: readonly number[]): void {
    if (steps.length !== this.moments.length) {
      throw new TorchError(
        'STATE_MISMATCH',
        `optimizer state: expected ${this.moments.length} steps, received ${steps.length}`,
      )
    }
    for (const [i, item] of this.moments.entries()) item.step = steps[i]!
  }

  /** Frees the moments. The parameters stay with their owner. */
  dispose(): void {
    for (const { expAvg, expAvgSq } of this.moments) {
      expAvg.dispose()
      expAvgSq.dispose()
    }
  }
}

const detachOp: Operator = bind('aten::detach')

/** The parameter without its autograd identity: updates are not recorded. */
function parameterData(parameter: Parameter): Tensor {
  return detachOp(parameter) as Tensor
}

/** Weight decay on matrices only: biases and norm weights (fewer than two dimensions) are left out. */
export function decayGroups(parameters: readonly Parameter[], weightDecay: number): ParameterGroup[] {
  const isMatrix = (parameter: Parameter) => parameter.shape.length >= 2
  return [
    { parameters: parameters.filter(isMatrix), weightDecay },
    { parameters: parameters.filter((parameter) => !isMatrix(parameter)), weightDecay: 0 },
  ]
}
