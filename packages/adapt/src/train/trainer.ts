import { type Collective, type DType, distributed, optim, scope, type Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { NumericError } from '../errors.js'
import type { Calibration } from '../gate/index.js'
import { labelledPositions } from '../loss/index.js'
import { type Method, needsScorePhase } from '../method/index.js'
import { type CausalLM, embedTokens, mixSeeds, toModelInputs } from '../model/index.js'
import type { StepRecord } from '../record/index.js'
import { summarizeSamples } from '../record/index.js'
import type { RefreshReport, SignalContext } from '../signal/index.js'
import { forwardFlops, trainingFlops } from './flops.js'
import { meanLossPerSample } from './sample-loss.js'
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
  /** Steps in a row without a finite loss after which training stops. Default 3. */
  readonly maxNonFiniteSteps?: number
  /** Seed of dropout. Default 0. */
  readonly seed?: number
}

/** What happened around one step besides the step itself. */
export interface StepEvents {
  readonly refresh?: {
    readonly report: RefreshReport
    readonly ms: number
    readonly flops: number
    /** The gate's new constants, when the signal gave it the recent samples' new scores. */
    readonly calibration?: Calibration
  }
  readonly calibrations: readonly Calibration[]
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
  readonly signal: Readonly<Record<string, unknown>>
  readonly gate: Readonly<Record<string, unknown>>
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
  readonly optimizer: optim.AdamW
  private readonly parts: TrainParts
  private readonly options: TrainerOptions
  private readonly numParameters: number
  private readonly numTrainable: number
  private flopsTrain = 0
  private flopsSignal = 0
  private nonFiniteSteps = 0
  /** Completed optimiser steps. */
  step = 0

  constructor(model: CausalLM, method: Method, anchors: readonly Batch[], options: TrainerOptions) {
    const collective = options.collective ?? distributed.singleProcess
    this.model = model
    this.method = method
    this.options = options
    this.numParameters = model.numParameters
    this.numTrainable = model.numTrainableParameters
    this.optimizer = new optim.AdamW(
      optim.decayGroups(model.trainableParameters(), options.weightDecay ?? 0),
      {
        beta1: options.adamBeta1 ?? 0.9,
        beta2: options.adamBeta2 ?? 0.999,
        epsilon: options.adamEpsilon ?? 1e-8,
      },
    )
    this.parts = {
      model,
      method,
      optimizer: this.optimizer,
      collective,
      context: createSignalContext(model, anchors, collective, options.autocastDtype, (numTokens) => {
        this.flopsSignal += forwardFlops(this.numParameters, numTokens)
      }),
      options: {
        autocastDtype: options.autocastDtype,
        checkpoint: options.gradientCheckpointing ?? false,
        ...(options.lossChunkSize === undefined ? {} : { lossChunkSize: options.lossChunkSize }),
        maxGradNorm: options.maxGradNorm,
      },
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
   * Runs one optimiser step on this rank's micro-batches.
   * @throws {NumericError} NOT_FINITE after several steps in a row without a finite loss; the model is unchanged.
   */
  runStep(batches: readonly Batch[], epoch = 0): { record: StepRecord; events: StepEvents } {
    const start = performance.now()
    const learningRate = this.learningRate
    this.optimizer.learningRate = learningRate
    const upkeepStart = performance.now()
    const refresh = this.refresh()
    const upkeepMs = performance.now() - upkeepStart
    const totals = trainStep(this.parts, batches, mixSeeds(this.options.seed ?? 0, this.step))
    this.step += 1
    this.assertFinite(totals)
    const { gate } = this.method
    const calibrations = [
      refresh?.calibration,
      gate.observe?.(totals.scores, this.step),
      totals.rescored && gate.rescore?.(totals.rescored),
    ].filter((calibration) => calibration !== undefined)
    this.countFlops(totals)
    const stepMs = performance.now() - start
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
        unit: this.method.normalizer.startsWith('token') ? 'token' : 'sample',
      }),
      numTokensProcessed: totals.numTokensProcessed,
      tokensPerSecond: (totals.numTokensProcessed / stepMs) * 1000,
      stepMs,
      signalMs: totals.signalMs + upkeepMs,
      flopsTrain: this.flopsTrain,
      flopsSignal: this.flopsSignal,
      skipped: !totals.canUpdate,
    }
    return { record, events: { ...(refresh ? { refresh } : {}), calibrations, totals } }
  }

  /** New anchors mean new scores: the gate is solved again before it weighs the next sample. */
  private refresh(): StepEvents['refresh'] {
    const start = performance.now()
    const { signal, gate } = this.method
    const report = signal.beforeStep?.(this.step, this.parts.context)
    if (!report) return undefined
    const calibration = report.rescored && gate.rescore?.(report.rescored)
    return {
      report,
      ms: performance.now() - start,
      flops: forwardFlops(this.numParameters, report.numTokens),
      ...(calibration ? { calibration } : {}),
    }
  }

  /** Of the training and scoring forwards; the anchors' are charged where they are embedded. */
  private countFlops(totals: StepTotals): void {
    const recompute = this.options.gradientCheckpointing ?? false
    const frozenBase = this.numTrainable < this.numParameters / 2
    this.flopsTrain += trainingFlops(this.numParameters, totals.numTokensProcessed, { recompute, frozenBase })
    if (needsScorePhase(this.method))
      this.flopsSignal += forwardFlops(this.numParameters, totals.numTokensProcessed)
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

  /** Everything but the model that an identical continuation needs, between two steps. Tensors stay their owners'. */
  state(): {
    readonly json: TrainerState
    readonly optimizer: ReadonlyMap<string, Tensor>
    readonly method: ReadonlyMap<string, Tensor>
  } {
    const { steps, tensors: optimizer } = this.optimizer.state()
    const { json: signal, tensors: method } = this.method.signal.state()
    const { step, flopsTrain, flopsSignal, nonFiniteSteps } = this
    const gate = this.method.gate.state()
    return {
      json: { step, flopsTrain, flopsSignal, nonFiniteSteps, optimizerSteps: steps, signal, gate },
      optimizer,
      method,
    }
  }

  /**
   * Goes on where `state` was taken; the model is the caller's part.
   * @param fillMoment  Fills a tensor of the optimiser's state in place, by its name in `state().optimizer`.
   */
  load(state: TrainerState, fillMoment: (name: string, target: Tensor) => void): void {
    this.optimizer.loadSteps(state.optimizerSteps)
    for (const [name, moment] of this.optimizer.state().tensors) fillMoment(name, moment)
    this.step = state.step
    this.flopsTrain = state.flopsTrain
    this.flopsSignal = state.flopsSignal
    this.nonFiniteSteps = state.nonFiniteSteps
  }

  /** The method's part of a state, which only the same method can use. */
  loadMethod({ signal, gate }: TrainerState, tensors: ReadonlyMap<string, Tensor>): void {
    this.method.signal.load({ json: signal, tensors })
    this.method.gate.load(gate)
  }

  /** Frees the optimiser and the method's tensors; the model stays with its owner. */
  dispose(): void {
    this.model.zeroGrad()
    this.optimizer.dispose()
    this.method.signal.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Forward without a graph for anchors and scoring, in the dtype of training. */
function createSignalContext(
  model: CausalLM,
  anchors: readonly Batch[],
  collective: Collective,
  autocastDtype: DType | undefined,
  charge: (numTokens: number) => void,
): SignalContext {
  return {
    collective,
    anchors,
    charge,
    embed(batch) {
      const inputs = toModelInputs(batch, model.device)
      const hidden_BTD = embedTokens(model, inputs, { autocastDtype })
      return {
        inputs,
        hidden_BTD,
        sampleLoss_S: () =>
          scope(() =>
            meanLossPerSample(model, hidden_BTD, labelledPositions(batch, model.device), batch, {
              autocastDtype,
            }),
          ),
      }
    },
  }
}
