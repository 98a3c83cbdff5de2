/** B rows, T positions, D width, N labelled positions, S samples of a micro-batch. */
import {
  type Collective,
  type DType,
  indexSelect,
  mul,
  type nn,
  noGrad,
  optim,
  scope,
  type Tensor,
  tensor,
  zeros,
  zerosLike,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedCrossEntropy, type LabelledPositions, labelledPositions, tokenFactor } from '../loss/index.js'
import { type Method, planWeights } from '../method/index.js'
import { type CausalLM, runForward, toModelInputs } from '../model/index.js'
import type { SignalContext } from '../signal/index.js'
import { meanLossPerSample } from './sample-loss.js'
import { type MicroBatchTally, type StepTotals, synchronise } from './step-totals.js'

/** What a training step works with; none of it changes from step to step. */
export interface TrainParts {
  readonly model: CausalLM
  readonly method: Method
  readonly optimizer: optim.AdamW
  readonly collective: Collective
  readonly context: SignalContext
  readonly options: TrainStepOptions
}

/** Precision, memory and clipping of a step. */
export interface TrainStepOptions {
  readonly autocastDtype?: DType | undefined
  /** Recompute activations block by block in backward. */
  readonly checkpoint?: boolean
  readonly lossChunkSize?: number
  /** Largest gradient norm; undefined leaves gradients alone. */
  readonly maxGradNorm?: number | undefined
  /** Any constant near 1 / Z: keeps gradients in range before the exact Z is known. */
  readonly lossScale: number
}

/**
 * One optimiser step over this rank's micro-batches (empty ones are allowed):
 *
 *   theta <- AdamW(theta, clip((1/Z) sum_i w_i grad l_i)),   w_i = gate(signal(x_i)), without gradient
 *
 * The sum and Z run over all ranks and micro-batches, so the result does not depend on how the batch is cut.
 * Parameters and moments stay as they are when the loss or the gradient norm is not finite, or all weights are 0.
 *
 * @param dropoutSeed  Of this step; the same on all ranks.
 */
export function trainStep(parts: TrainParts, batches: readonly Batch[], dropoutSeed = 0): StepTotals {
  const { model, method, optimizer, collective, context, options } = parts
  model.train()
  model.zeroGrad()
  return scope(() => {
    const used = batches.filter((batch) => batch.rows > 0)
    const clock = startClock()
    const plan = clock.time(() => planWeights(method, used, context))

    const tallies = used.map((batch, i) =>
      scope((): MicroBatchTally => {
        const inputs = toModelInputs(batch, model.device)
        const labelled = labelledPositions(batch, model.device)
        const pass = runForward(model, inputs, { ...options, dropoutSeed })
        const { hidden_BTD } = pass
        const sampleLoss_S = () => meanLossPerSample(model, hidden_BTD, labelled, batch, options)
        const { score_S, weight_S } = clock.time(() => plan.weigh(i, { inputs, hidden_BTD, sampleLoss_S }))
        const loss_N = backwardWeighted(parts, batch, pass, labelled, weight_S)
        return { batch, sampleOf: labelled.sampleOf, loss_N, score_S, weight_S }
      }),
    )

    sumGradients(optimizer.parameters, collective)
    const totals = synchronise(tallies, optim.gradNorm(optimizer.parameters), {
      method,
      collective,
      options,
      signalMs: clock.ms(),
    })
    if (totals.canUpdate) {
      const clip =
        options.maxGradNorm === undefined ? 1 : Math.min(1, options.maxGradNorm / (totals.gradNorm + 1e-6))
      optim.scaleGradients(optimizer.parameters, totals.gradientScale * clip)
      optimizer.step()
    }
    const rescored = clock.time(() => method.signal.afterStep?.(context, totals.isFinite))
    return { ...totals, signalMs: clock.ms(), ...(rescored ? { rescored } : {}) }
  })
}

/** Loss and gradients of one micro-batch: a SUM over its tokens, weighted by A w_i (1/n_i or 1). */
function backwardWeighted(
  { model, method, options }: TrainParts,
  batch: Batch,
  pass: ReturnType<typeof runForward>,
  labelled: LabelledPositions,
  weight_S: Tensor,
): Tensor {
  if (labelled.count === 0) return zeros([0])
  return scope(() => {
    const factors = batch.samples.map(
      ({ weight, numLabels }) => options.lossScale * weight * tokenFactor(method.normalizer, numLabels),
    )
    const factor_S = tensor(Float32Array.from(factors), [factors.length], { device: model.device })
    const weight_N = noGrad(() => indexSelect(mul(weight_S, factor_S), 0, labelled.sample_N))
    const { loss_N, gradient_ND } = chunkedCrossEntropy(
      labelled.select(pass.hidden_BTD),
      model.headWeight,
      labelled.labels_N,
      weight_N,
      {
        ...(options.lossChunkSize === undefined ? {} : { chunkSize: options.lossChunkSize }),
        computeDtype: options.autocastDtype,
      },
    )
    pass.backward(labelled.scatter(gradient_ND))
    return loss_N
  })
}

/** Adds the ranks' gradients; a rank without samples takes part with zeros. */
function sumGradients(parameters: readonly nn.Parameter[], collective: Collective): void {
  if (collective.worldSize === 1) return
  scope(() => {
    for (const parameter of parameters) parameter.grad ??= zerosLike(parameter)
    collective.allReduceSum(parameters.map((parameter) => parameter.grad!))
  })
}

function startClock() {
  let total = 0
  return {
    ms: () => total,
    time<T>(fn: () => T): T {
      const start = performance.now()
      try {
        return fn()
      } finally {
        total += performance.now() - start
      }
    },
  }
}
