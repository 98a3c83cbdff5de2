import { isDeepStrictEqual } from 'node:util'
import {
  type Collective,
  copy_,
  narrow,
  noGrad,
  optim,
  scope,
  type Tensor,
  TorchError,
  view,
  zeros,
} from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'
import type { OptimizerView } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  createGradientExchange,
  type GradientExchange,
  type Sharding,
  type Updated,
} from './gradient-exchange.js'

/** Constants of the optimiser, and which part of it a rank keeps. */
export interface ModelOptimizerOptions extends optim.AdamWOptions {
  /** Decoupled decay of matrices; vectors have none. */
  readonly weightDecay: number
  readonly collective: Collective
  /** `auto`: every rank keeps and updates its share of the moments (ZeRO-1), where ranks are processes. */
  readonly sharding: Sharding
}

/** Both moments of every trained parameter, and how often each was updated: of one process, whatever the ranks. */
export interface OptimizerState {
  readonly steps: readonly number[]
  /** `exp_avg.I` and `exp_avg_sq.I`, in the shape of the parameter; matrices come first. */
  readonly tensors: ReadonlyMap<string, Tensor>
}

const MOMENTS = ['exp_avg', 'exp_avg_sq'] as const

/**
 * AdamW of a model's trainable parameters over all ranks. Whatever part of it a rank keeps, its state is that of one process: a checkpoint
 * does not know how many ranks wrote it.
 */
export class ModelOptimizer {
  readonly gradients: GradientExchange
  private readonly model: CausalLM
  /** Of what this rank updates. */
  readonly adamw: optim.AdamW
  /** The trainable parameters as places in the model, in the order of the state, and their shapes in the model's. */
  private readonly order: readonly number[]
  private readonly shapes: readonly (readonly number[])[]
  /** What this rank updates, in the order of `adamw`. */
  private readonly kept: readonly Updated[]
  /** Updates of each parameter when the state was loaded, in the order of the state, and of all since. */
  private loadedSteps: readonly number[]
  private updates = 0

  constructor(model: CausalLM, { weightDecay, collective, sharding, ...options }: ModelOptimizerOptions) {
    const parameters = model.trainableParameters()
    this.model = model
    this.shapes = parameters.map(({ shape }) => shape)
    const places = new Map(parameters.map((parameter, index) => [parameter, index]))
    const groups = optim.decayGroups(parameters, weightDecay).map((group) => ({
      indexes: group.parameters.map((parameter) => places.get(parameter)!),
      weightDecay: group.weightDecay,
    }))
    this.order = groups.flatMap(({ indexes }) => indexes)
    this.loadedSteps = this.order.map(() => 0)
    this.gradients = createGradientExchange(model, parameters, collective, sharding)
    const partsOf = (index: number) => this.gradients.updated.filter((one) => one.index === index)
    this.kept = this.order.flatMap(partsOf)
    this.adamw = new optim.AdamW(
      groups.map((group) => ({
        parameters: group.indexes.flatMap(partsOf).map(({ part }) => part),
        weightDecay: group.weightDecay,
      })),
      options,
    )
  }

  /** Updates the model of every rank from the sums of the gradients, which are scaled down where `norm`, over all ranks, is above `maxNorm`. */
  update(learningRate: number, norm: number, maxNorm = Infinity): void {
    const clip = maxNorm / (norm + 1e-6)
    if (clip < 1) optim.scaleGradients(this.adamw.parameters, clip)
    this.adamw.learningRate = learningRate
    this.adamw.step()
    this.updates += 1
    this.gradients.publish()
  }

  /** What a method may know of it. */
  view(): OptimizerView {
    const { beta1, beta2, epsilon } = this.adamw
    const byName = new Map(this.model.namedParameters())
    return {
      ...{ beta1, beta2, epsilon },
      secondMoment: (name) => {
        if (this.gradients.isSharded)
          throw new AdaptError(
            'NOT_NAMED',
            EXIT.bug,
            'a signal asked for the moments of the optimiser, which its needs do not name',
          )
        const parameter = byName.get(name)
        return parameter && this.adamw.secondMoment(parameter)
      },
    }
  }

  /** The moments that this rank keeps, by the name of what they are, or are a part, of. */
  ownMoments(): [name: string, moment: Tensor][] {
    const { tensors } = this.adamw.state()
    return MOMENTS.flatMap((moment) =>
      this.kept.map(({ index }, i): [string, Tensor] => [
        `${moment}.${this.order.indexOf(index)}`,
        tensors.get(`${moment}.${i}`)!,
      ]),
    )
  }

  /** Every rank calls it. Tensors are the optimiser's own, or belong to the current scope. */
  state(): OptimizerState {
    const { tensors, steps } = this.adamw.state()
    const wholes = MOMENTS.flatMap((moment) => {
      const parts = this.gradients.updated.map((one) => tensors.get(`${moment}.${this.kept.indexOf(one)}`)!)
      const byPlace = this.gradients.gather(parts)
      return this.order.map((index, i): [string, Tensor] => [`${moment}.${i}`, byPlace[index]!])
    })
    const ownSteps = new Map(this.kept.map(({ index }, i) => [index, steps[i]!]))
    return {
      steps: this.order.map((index, i) => ownSteps.get(index) ?? this.loadedSteps[i]! + this.updates),
      tensors: new Map(wholes),
    }
  }

  /**
   * Goes on from a state, which another number of ranks may have left.
   * @param fill  Fills a tensor in place, by its name in the state.
   * @throws {TorchError} STATE_MISMATCH for counts of another number of parameters.
   */
  load(steps: readonly number[], fill: (name: string, target: Tensor) => void): void {
    const { order, kept } = this
    if (steps.length !== order.length)
      throw new TorchError(
        'STATE_MISMATCH',
        `optimizer state: expected ${order.length} steps, received ${steps.length}`,
      )
    this.loadedSteps = [...steps]
    this.updates = 0
    this.adamw.loadSteps(kept.map(({ index }) => steps[order.indexOf(index)]!))
    const { tensors } = this.adamw.state()
    for (const moment of MOMENTS)
      for (const [i, index] of order.entries()) {
        const parts = [...kept.entries()].filter(([, one]) => one.index === index)
        const targets = parts.map(([place, { offset }]) => ({
          offset,
          target: tensors.get(`${moment}.${place}`)!,
        }))
        fillParts(targets, this.shapes[index]!, (target) => fill(`${moment}.${i}`, target))
      }
  }

  /** Frees the moments and the gradients; the model stays with its owner. */
  dispose(): void {
    this.adamw.dispose()
    this.gradients.dispose()
  }
}

/** Fills runs of a tensor's elements by way of the whole, unless the one run is the whole. */
function fillParts(
  parts: readonly { readonly offset: number; readonly target: Tensor }[],
  shape: readonly number[],
  fill: (target: Tensor) => void,
): void {
  const [first] = parts
  if (first === undefined) return
  if (isDeepStrictEqual(first.target.shape, shape)) {
    fill(first.target)
    return
  }
  noGrad(() =>
    scope(() => {
      const whole = zeros(shape)
      fill(whole)
      const flat = view(whole, [-1])
      for (const { offset, target } of parts) copy_(target, narrow(flat, 0, offset, target.numel))
    }),
  )
}
