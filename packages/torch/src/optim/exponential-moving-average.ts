import { noGrad } from '../autograd.js'
import { bind } from '../dispatch.js'
import { TorchError } from '../errors.js'
import type { Parameter } from '../nn/module.js'
import { clone, copy_ } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'

const OP = {
  mul: bind('aten::_foreach_mul_', 'Scalar'),
  add: bind('aten::_foreach_add_', 'List'),
} as const

/**
 * Exponential moving average of parameters (Polyak and Juditsky 1992, in the form that deep learning uses), which begins at the parameters
 * as they are:
 *
 *   a <- d a + (1 - d) p
 *
 * The averages are float32 tensors beside their parameters, of the same devices, owned by this object until `dispose`.
 *
 * @example
 * const average = new optim.ExponentialMovingAverage(model.trainableParameters(), 0.999)
 * optimizer.step()
 * average.update()
 * {
 *   using _weights = average.lend()   // the model computes with the averages in here
 * }
 */
export class ExponentialMovingAverage {
  private readonly pairs: readonly { readonly parameter: Parameter; readonly average: Tensor }[]
  private isLent = false

  /**
   * @param parameters  float32. @param decay  d, above 0 and below 1.
   * @throws {TorchError} BAD_ARGUMENT for another decay or dtype.
   */
  constructor(
    parameters: readonly Parameter[],
    readonly decay: number,
  ) {
    if (!(decay > 0 && decay < 1))
      throw new TorchError('BAD_ARGUMENT', `decay: expected a number above 0 and below 1, received ${decay}`)
    const other = parameters.find(({ dtype }) => dtype !== 'float32')
    if (other !== undefined)
      throw new TorchError('BAD_ARGUMENT', `averages: expected float32 parameters, received ${other.dtype}`)
    this.pairs = noGrad(() =>
      parameters.map((parameter) => ({ parameter, average: clone(parameter).persist() })),
    )
  }

  /** Takes the parameters in as they are now: to be called after each of their updates. */
  update(): void {
    this.requireHome()
    if (this.pairs.length === 0) return
    const averages = this.pairs.map(({ average }) => average)
    noGrad(() => {
      OP.mul(averages, this.decay)
      OP.add(
        averages,
        this.pairs.map(({ parameter }) => parameter),
        { alpha: 1 - this.decay },
      )
    })
  }

  /**
   * Exchanges parameters and averages until the result is disposed of: no third copy of them all is made, and both come back to the bit.
   * @throws {TorchError} AVERAGE_LENT while they are exchanged already, as `update` does.
   */
  lend(): Disposable {
    this.requireHome()
    this.exchange()
    this.isLent = true
    return {
      [Symbol.dispose]: () => {
        if (!this.isLent) return
        this.exchange()
        this.isLent = false
      },
    }
  }

  private exchange(): void {
    noGrad(() => {
      for (const { parameter, average } of this.pairs) {
        scope(() => {
          const held = clone(average)
          copy_(average, parameter)
          copy_(parameter, held)
        })
      }
    })
  }

  private requireHome(): void {
    if (this.isLent)
      throw new TorchError('AVERAGE_LENT', 'the averages stand in the place of the parameters now')
  }

  /** The averages in the order of the parameters; they stay this object's own. */
  get tensors(): readonly Tensor[] {
    return this.pairs.map(({ average }) => average)
  }

  /** Frees the averages. The parameters stay with their owner. */
  dispose(): void {
    for (const { average } of this.pairs) average.dispose()
  }
}
