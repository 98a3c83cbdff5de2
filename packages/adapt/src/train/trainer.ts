import { type Collective, type DType, distributed, optim, region, type Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { NumericError } from '../errors.js'
import {
  lookAt,
  type Method,
  type MethodEvent,
  type PluginState,
  type PoolProgress,
  type StepTools,
} from '../method/index.js'
import { type CausalLM, mixSeeds } from '../model/index.js'
import type { StepRecord } from '../record/index.js'
import { summarizeSamples } from '../record/index.js'
import { forwardFlops, trainingFlops } from './flops.js'
import type { Sharding } from './gradient-exchange.js'
import { ModelOptimizer } from './model-optimizer.js'
import { StepInputs } from './step-inputs.js'
import type { StepTotals } from './step-totals.js'
import { type TrainParts, trainStep } from './train-step.js'

/** Optimiser, schedule and precision of a run. */
export interface TrainerOptions {
  /** Where the schedule ends. */
  readonly totalSteps: number
  /** Peak of the schedule. */
  readonly learningRate: number
  /** Default linear. */
  readonly schedule?: optim.ScheduleKind
  /** Steps of linear warm-up from 0. Default 0. */
  readonly warmupSteps?: number
  /** wsd only: steps of the final decay. Default 20 % of `totalSteps`. */
  readonly decaySteps?: number | undefined
  /** Last learning rate as a share of the peak. Default 0. */
  readonly minLearningRateRatio?: number
  /** Decoupled decay of matrices; norms have none. Default 0. */
  readonly weightDecay?: number
  /** Default 0.9. */
  readonly adamBeta1?: number
  /** Default 0.999. */
  readonly adamBeta2?: number
  /** Default 1e-8. */
  readonly adamEpsilon?: number
  /** Decay of an exponential moving average of what is trained. Default: none is kept. */
  readonly emaDecay?: number | undefined
  /** Gradients are clipped to this norm. Default: not clipped (a config file clips to 1). */
  readonly maxGradNorm?: number | undefined
  /** Matrix products in this dtype, parameters in float32. Default: all in float32. */
  readonly autocastDtype?: DType | undefined
  /** Recompute activations in backward. Default false. */
  readonly gradientCheckpointing?: boolean
  /** Positions whose logits exist at once. Default 512. */
  readonly lossChunkSize?: number
  /** Default: one process. */
  readonly collective?: Collective
  /** `off`: every rank keeps all moments of the optimiser, not its share. A method may need that. Default auto. */
  readonly shardedOptimizer?: Sharding
  /** Steps in a row without a finite loss after which training stops. Default 3. */
  readonly maxNonFiniteSteps?: number
  /** Seed of dropout. Default 0. */
  readonly seed?: number
  /** Lays samples of the training data out again: for methods that drop some of a step. */
  readonly layOut?: StepTools['layOut']
  /** Lays samples of the training data out to be looked at: for methods that score the pool between two steps. */
  readonly layOutPool?: StepTools['layOutPool']
}

/** What one step was besides its record. */
export interface StepEvents {
  /** What the method has to say, in the order in which it happened. */
  readonly method: readonly MethodEvent[]
  readonly totals: StepTotals
}

/** A trainer apart from its tensors; JSON, but its numbers may be any double. */
export interface TrainerState {
  readonly step: number
  readonly flopsTrain: number
  readonly flopsSignal: number
  readonly nonFiniteSteps: number
  /** Updates of each parameter. */
  readonly optimizerSteps: readonly number[]
  readonly method: PluginState['json']
}

/** A trainer between two steps, apart from its model. */
export interface TrainerTensors {
  readonly json: TrainerState
  readonly optimizer: ReadonlyMap<string, Tensor>
  readonly method: ReadonlyMap<string, Tensor>
}

/**
 * Model, method and optimiser of one run, and the count of steps. Feeding it batches is the caller's part.
 * The trainer frees the optimiser and the method's tensors with itself; the model stays the caller's.
 *
 * @example
 * using trainer = new Trainer(model, createMethod('adapt'), [anchors], { totalSteps: 100, learningRate: 1e-3 })
 * const { record } = trainer.runStep([batch])
 */
export class Trainer {
  readonly model: CausalLM
  readonly method: Method
  readonly optimizer: ModelOptimizer
  /** Follows what is trained, where `emaDecay` is given. The same on every rank. */
  readonly average: optim.ExponentialMovingAverage | undefined
  private readonly parts: TrainParts
  private readonly lent: Omit<StepTools, 'step' | 'learningRate'>
  private readonly options: TrainerOptions
  private readonly numParameters: number
  private readonly numTrainable: number
  private flopsTrain = 0
  private flopsSignal = 0
  private nonFiniteSteps = 0
  /** Milliseconds that the method worked before the next step was drawn. */
  private drawMs = 0
  /** Completed optimiser steps. */
  step = 0

  constructor(model: CausalLM, method: Method, anchors: readonly Batch[], options: TrainerOptions) {
    const collective = options.collective ?? distributed.singleProcess
    this.model = model
    this.method = method
    this.options = options
    this.numParameters = model.numParameters
    this.numTrainable = model.numTrainableParameters
    this.optimizer = new ModelOptimizer(model, {
      weightDecay: options.weightDecay ?? 0,
      collective,
      sharding: method.needs.moments === true ? 'off' : (options.shardedOptimizer ?? 'auto'),
      beta1: options.adamBeta1 ?? 0.9,
      beta2: options.adamBeta2 ?? 0.999,
      epsilon: options.adamEpsilon ?? 1e-8,
    })
    const { emaDecay } = options
    this.average =
      emaDecay === undefined
        ? undefined
        : new optim.ExponentialMovingAverage(model.trainableParameters(), emaDecay)
    this.parts = {
      model,
      method,
      optimizer: this.optimizer,
      followers: this.average ? [this.average] : [],
      inputs: new StepInputs(model.device),
      options: {
        autocastDtype: options.autocastDtype,
        checkpoint: options.gradientCheckpointing ?? false,
        ...(options.lossChunkSize === undefined ? {} : { lossChunkSize: options.lossChunkSize }),
        maxGradNorm: options.maxGradNorm,
      },
    }
    this.lent = {
      collective,
      device: model.device,
      anchors,
      optimizer: this.optimizer.view(),
      look: (batch, how) =>
        lookAt(model, batch, {
          ...how,
          autocastDtype: options.autocastDtype,
          reference: method.reference,
          factors: method.needs.factors ?? false,
        }),
      charge: (numTokens) => {
        const flops = forwardFlops(this.numParameters, numTokens)
        this.flopsSignal += flops
        return flops
      },
      layOut: options.layOut,
      layOutPool: options.layOutPool,
    }
  }

  /** The rate of the next step. */
  get learningRate(): number {
    const {
      learningRate,
      totalSteps,
      schedule = 'linear',
      warmupSteps = 0,
      decaySteps,
      minLearningRateRatio = 0,
    } = this.options
    const factor = optim.scheduleFactor(this.step, {
      kind: schedule,
      totalSteps,
      warmupSteps,
      minRatio: minLearningRateRatio,
      ...(decaySteps === undefined ? {} : { decaySteps }),
    })
    return learningRate * factor
  }

  /**
   * Lets the method decide what the next step reads, before its rows are drawn: it may score the pool. Yields between two batches of that,
   * where the caller may wait; a call that is left before its end changes nothing, and the next one begins anew.
   */
  *prepareDraw(): Generator<PoolProgress, void> {
    this.drawMs = 0
    const work = this.method.beforeDraw(this.tools())
    for (;;) {
      const start = performance.now()
      const { done, value } = region('method', () => work.next())
      this.drawMs += performance.now() - start
      if (done) return
      yield value
    }
  }

  private tools(): StepTools {
    return { ...this.lent, step: this.step, learningRate: this.learningRate }
  }

  /**
   * Runs one optimiser step on this rank's micro-batches.
   *
   * @param nextBatches  Those of the next step, as far as they are known: asked for while a device that is not the CPU works, and copied
   *   to it. Their absence changes no result.
   * @throws {NumericError} NOT_FINITE after several steps in a row without a finite loss; the model is unchanged.
   */
  runStep(
    batches: readonly Batch[],
    epoch = 0,
    nextBatches?: () => readonly Batch[],
  ): { record: StepRecord; events: StepEvents } {
    const start = performance.now()
    const tools = this.tools()
    const { learningRate } = tools
    const { method } = this
    const upkeepMs = timed(() => region('method', () => method.beforeStep(tools)))
    const dropoutSeed = mixSeeds(this.options.seed ?? 0, this.step)
    const totals = trainStep(this.parts, batches, tools, dropoutSeed, nextBatches)
    this.step += 1
    const outcome = { step: this.step, wasFinite: totals.isFinite, samples: totals.outcome }
    const observeMs = timed(() => region('method', () => method.observe(outcome, tools)))
    this.assertFinite(totals)
    this.countFlops(totals)
    const stepMs = performance.now() - start + this.drawMs
    const record: StepRecord = {
      type: 'step',
      step: this.step,
      time: Date.now() / 1000,
      epoch,
      lossWeighted: totals.lossWeighted,
      lossUnweighted: totals.lossUnweighted,
      gradNorm: totals.gradNorm,
      learningRate,
      ...summarizeSamples(totals.samples, {
        unit: method.normalizer.startsWith('token') ? 'token' : 'sample',
      }),
      numTokensProcessed: totals.numTokensProcessed,
      tokensPerSecond: (totals.numTokensProcessed / stepMs) * 1000,
      stepMs,
      signalMs: totals.signalMs + upkeepMs + observeMs + this.drawMs,
      flopsTrain: this.flopsTrain,
      flopsSignal: this.flopsSignal,
      skipped: !totals.canUpdate,
    }
    this.drawMs = 0
    return { record, events: { method: method.takeEvents(), totals } }
  }

  /** Of the training and scoring forwards; the anchors' are charged where they are embedded. */
  private countFlops(totals: StepTotals): void {
    const recompute = this.options.gradientCheckpointing ?? false
    const frozenBase = this.numTrainable < this.numParameters / 2
    this.flopsTrain += trainingFlops(this.numParameters, totals.numTokensProcessed, { recompute, frozenBase })
    // Gradients of single samples need the backward too, as the papers charge it.
    const score = this.method.needs.factors ? trainingFlops : forwardFlops
    this.flopsSignal += score(this.numParameters, totals.scoredTokens)
  }

  private assertFinite(totals: StepTotals): void {
    this.nonFiniteSteps = totals.isFinite ? 0 : this.nonFiniteSteps + 1
    const limit = this.options.maxNonFiniteSteps ?? 3
    if (this.nonFiniteSteps < limit) return
    throw new NumericError(
      'NOT_FINITE',
      `step ${this.step}: the loss or the gradient was not finite in ${limit} steps in a row (loss ${totals.lossWeighted}, norm ${totals.gradNorm}); ` +
        'no update was made from them: lower learning_rate or check the data',
      { samples: totals.samples.map(({ id }) => id) },
    )
  }

  /** Everything but the model that an identical continuation needs, between two steps. Every rank calls it. Tensors stay their owners', or belong to the current scope. */
  state(): TrainerTensors {
    const { steps, tensors: optimizer } = this.optimizer.state()
    const { json, tensors: method } = this.method.state()
    const { step, flopsTrain, flopsSignal, nonFiniteSteps } = this
    return {
      json: { step, flopsTrain, flopsSignal, nonFiniteSteps, optimizerSteps: steps, method: json },
      optimizer,
      method,
    }
  }

  /** Every tensor that this rank trains or keeps, by what it is, or is a part, of. */
  ownTensors(): [name: string, tensor: Tensor][] {
    const trained = [...this.model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad)
    const averages = (this.average?.tensors ?? []).map((tensor, i): [string, Tensor] => [`ema.${i}`, tensor])
    return [...trained, ...this.optimizer.ownMoments(), ...averages, ...this.method.state().tensors]
  }

  /**
   * Goes on where `state` was taken; the model is the caller's part.
   * @param fillMoment  Fills a tensor of the optimiser's state in place, by its name in `state().optimizer`.
   */
  load(state: TrainerState, fillMoment: (name: string, target: Tensor) => void): void {
    this.optimizer.load(state.optimizerSteps, fillMoment)
    this.step = state.step
    this.flopsTrain = state.flopsTrain
    this.flopsSignal = state.flopsSignal
    this.nonFiniteSteps = state.nonFiniteSteps
  }

  /** The method's part of a state, which only the same method can use. */
  loadMethod({ method }: TrainerState, tensors: ReadonlyMap<string, Tensor>): void {
    this.method.load({ json: method, tensors })
  }

  /** Frees the optimiser and the method's tensors; the model stays with its owner. */
  dispose(): void {
    this.model.zeroGrad()
    this.parts.inputs.dispose()
    this.optimizer.dispose()
    this.average?.dispose()
    this.method[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Milliseconds that `fn` takes. */
function timed(fn: () => void): number {
  const start = performance.now()
  fn()
  return performance.now() - start
}
