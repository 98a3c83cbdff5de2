/** P trained parameters. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  add,
  copy_,
  type DType,
  div,
  mul,
  narrow,
  type nn,
  noGrad,
  optim,
  reshape,
  SafetensorsFile,
  scope,
  sqrt,
  type Tensor,
  tensor,
  zero_,
  zeros,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { chunkedCrossEntropy, labelledPositions } from '../loss/index.js'
import type { AdamMoments } from '../method/index.js'
import { type CausalLM, runForward, toModelInputs } from '../model/index.js'

/** How gradients of single samples are made. */
export interface SampleGradientOptions {
  readonly autocastDtype?: DType | undefined
  /** Adam's direction instead of the gradient. */
  readonly moments?: AdamMoments | undefined
  /** Of the optimiser that left the moments. Defaults 0.9 and 0.999. */
  readonly beta1?: number
  readonly beta2?: number
}

/**
 * Gradients of single samples over the trained parameters of one model, in the order in which its optimiser keeps them. Holds one buffer, and
 * the moments where there are some; dispose it before the model.
 */
export class SampleGradients {
  private readonly parameters: readonly nn.Parameter[]
  private readonly buffer_P: Tensor
  private readonly kept: { readonly first_P: Tensor; readonly second_P: Tensor } | undefined

  /** @throws {ConfigError} NO_MOMENTS. @throws {TorchError} when the folder's moments are not those of this model. */
  constructor(
    private readonly model: CausalLM,
    private readonly options: SampleGradientOptions = {},
  ) {
    this.parameters = optim
      .decayGroups(model.trainableParameters(), 0)
      .flatMap(({ parameters }) => parameters)
    this.buffer_P = zeros([model.numTrainableParameters], { device: model.device }).persist()
    const { moments } = options
    this.kept = moments && this.readMoments(moments.folder)
  }

  /**
   * Gradient of the mean loss of the batch's only sample: float32 [P]; 0 without labels. With moments
   *
   *   m' = b1 m + (1 - b1) g,   v' = b2 v + (1 - b2) g^2,   m' / sqrt(v' + 1e-8)   (or m' / (sqrt(v') + 1e-8), eps outside)
   *
   * The moments stay as they are. The tensor is this object's own and valid until the next call.
   * @throws {RangeError} for a batch of several samples.
   */
  of(batch: Batch): Tensor {
    const { model, options, buffer_P } = this
    if (batch.samples.length !== 1) {
      throw new RangeError(`a sample's gradient: expected one sample, received ${batch.samples.length}`)
    }
    model.zeroGrad()
    scope(() => {
      const labelled = labelledPositions(batch, model.device)
      if (labelled.count > 0) {
        const pass = runForward(model, toModelInputs(batch, model.device), options)
        const share = new Float32Array(labelled.count).fill(1 / labelled.count)
        const { gradient_ND } = chunkedCrossEntropy(
          labelled.select(pass.hidden_BTD),
          model.headWeight,
          labelled.labels_N,
          tensor(share, [labelled.count], { device: model.device }),
          { computeDtype: options.autocastDtype },
        )
        pass.backward(labelled.scatter(gradient_ND))
      }
      noGrad(() => this.fill(buffer_P))
    })
    model.zeroGrad()
    return buffer_P
  }

  private fill(buffer_P: Tensor): void {
    let start = 0
    for (const parameter of this.parameters) {
      const { numel } = parameter
      const part = narrow(buffer_P, 0, start, numel)
      if (parameter.grad) copy_(part, reshape(parameter.grad, [numel]))
      else zero_(part)
      start += numel
    }
    if (this.kept === undefined) return
    const { beta1 = 0.9, beta2 = 0.999, moments } = this.options
    const { first_P, second_P } = this.kept
    copy_(buffer_P, adamDirection(buffer_P, first_P, second_P, { beta1, beta2, epsMode: moments!.epsMode }))
  }

  /** Moments of all parameters, flat in their order. */
  private readMoments(folder: string): { readonly first_P: Tensor; readonly second_P: Tensor } {
    const flat = (file: SafetensorsFile, name: string): Tensor => {
      const all = zeros([this.buffer_P.numel], { device: this.model.device })
      let start = 0
      for (const [i, parameter] of this.parameters.entries()) {
        const { numel, shape } = parameter
        const part = reshape(narrow(all, 0, start, numel), shape)
        file.readInto(`${name}.${i}`, part)
        start += numel
      }
      return all.persist()
    }
    const path = join(folder, 'optimizer.safetensors')
    if (!existsSync(path)) {
      const expected = "expected the optimiser's moments beside the model, as a checkpoint of a run has them"
      throw new ConfigError('NO_MOMENTS', `${expected}, received ${printable(folder)}, which has none`)
    }
    using file = new SafetensorsFile(path)
    return scope(() => ({ first_P: flat(file, 'exp_avg'), second_P: flat(file, 'exp_avg_sq') }))
  }

  /** Frees the buffer and the moments. */
  [Symbol.dispose](): void {
    this.buffer_P.dispose()
    this.kept?.first_P.dispose()
    this.kept?.second_P.dispose()
  }
}

const EPSILON = 1e-8

/**
 * The direction of an Adam step with this gradient, without bias correction. Belongs to the current scope.
 * @param epsMode  Whether 1e-8 stands inside the root, as in the released code of LESS, or outside, as in textbooks.
 */
export function adamDirection(
  gradient_P: Tensor,
  first_P: Tensor,
  second_P: Tensor,
  options: { readonly beta1: number; readonly beta2: number; readonly epsMode: AdamMoments['epsMode'] },
): Tensor {
  const { beta1, beta2, epsMode } = options
  return scope(() => {
    const first = add(mul(first_P, beta1), mul(gradient_P, 1 - beta1))
    const second = add(mul(second_P, beta2), mul(mul(gradient_P, gradient_P), 1 - beta2))
    return div(first, epsMode === 'inside' ? sqrt(withEpsilon(second)) : withEpsilon(sqrt(second)))
  })
}

const withEpsilon = (x: Tensor): Tensor => add(x, EPSILON)
