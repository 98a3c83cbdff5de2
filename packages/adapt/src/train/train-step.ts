/** B rows, T positions, D width, N labelled positions, S samples of a micro-batch. */
import { type DType, region, scope, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { chunkedCrossEntropy, type LabelledPositions } from '../loss/index.js'
import { createEvidence, type Method, type StepTools } from '../method/index.js'
import { type CausalLM, runForward } from '../model/index.js'
import { GradientScale } from './gradient-scale.js'
import type { ModelOptimizer } from './model-optimizer.js'
import type { StepInputs } from './step-inputs.js'
import { type MicroBatchTally, type StepTotals, synchronise } from './step-totals.js'

/** Keeps something up to date with the parameters. */
export interface UpdateFollower {
  /** Called after each update of the parameters that was made. */
  update(): void
}

/** What a training step works with; none of it changes from step to step. */
export interface TrainParts {
  readonly model: CausalLM
  readonly method: Method
  readonly optimizer: ModelOptimizer
  readonly followers: readonly UpdateFollower[]
  readonly options: TrainStepOptions
  readonly inputs: StepInputs
}

/** Precision, memory and clipping of a step. */
export interface TrainStepOptions {
  readonly autocastDtype?: DType | undefined
  /** Recompute activations block by block in backward. */
  readonly checkpoint?: boolean
  readonly lossChunkSize?: number
  /** Largest gradient norm; undefined leaves gradients alone. */
  readonly maxGradNorm?: number | undefined
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
 * @param nextBatches  Micro-batches that probably come next; asked for while the device works.
 */
export function trainStep(
  parts: TrainParts,
  batches: readonly Batch[],
  tools: StepTools,
  dropoutSeed = 0,
  nextBatches: () => readonly Batch[] = () => [],
): StepTotals {
  const { model, method, optimizer, options } = parts
  const { collective } = tools
  const { gradients } = optimizer
  model.train()
  region('optimiser', () => gradients.zero())
  return scope(() => {
    const used = batches.filter((batch) => batch.rows > 0)
    const clock = startClock()
    const plan = clock.time(() => region('method', () => method.plan(used, tools)))
    const { divisor } = plan
    const normalizer = divisor ? (`${divisor.unit}.mean` as const) : method.normalizer
    const scale = new GradientScale(normalizer, plan.batches, model.device, divisor?.z)

    // What the optimiser gets are the gradients of the loss itself; Z is known when the last micro-batch has its weights.
    const arm = () => gradients.arm(scale.toLoss((z) => collective.allReduceSum([z])))
    const last = plan.batches.length - 1
    if (last < 0) arm()

    const tallies = plan.batches.map((batch, i) =>
      scope((): MicroBatchTally => {
        const { inputs, labelled } = region('reading', () => parts.inputs.of(batch))
        const pass = region('forward', () => runForward(model, inputs, { ...options, dropoutSeed }))
        const evidence = createEvidence({
          ...{ model, inputs, labelled, hidden_BTD: pass.hidden_BTD },
          autocastDtype: options.autocastDtype,
          reference: method.reference,
        })
        const weights = clock.time(() => region('method', () => plan.weigh(i, evidence)))
        const lossWeight_N = region('loss', () => scale.lossWeights(batch, weights, labelled))
        if (i === last) region('optimiser', arm)
        const loss_N = backwardWeighted(parts, pass, labelled, lossWeight_N)
        return { batch, sampleOf: labelled.sampleOf, loss_N, ...weights }
      }),
    )

    const { waitMs, ownNorm } = region('optimiser', () => ({
      waitMs: gradients.finish(),
      ownNorm: gradients.ownNorm(),
    }))
    region('reading', () => parts.inputs.makeAhead(nextBatches))
    const totals = region('records', () => synchronise(tallies, ownNorm, { plan, normalizer, collective }))
    if (totals.canUpdate) {
      region('optimiser', () => {
        optimizer.update(tools.learningRate, totals.gradNorm, options.maxGradNorm)
        for (const follower of parts.followers) follower.update()
      })
    }
    return { ...totals, waitMs, signalMs: clock.ms() }
  })
}

/** Loss and gradients of one micro-batch: a SUM over its tokens, weighted one by one. */
function backwardWeighted(
  { model, optimizer, options }: TrainParts,
  pass: ReturnType<typeof runForward>,
  labelled: LabelledPositions,
  lossWeight_N: Tensor,
): Tensor {
  if (labelled.count === 0) return zeros([0], { device: model.device })
  return scope(() => {
    const { loss_N, gradient_ND } = region('loss', () =>
      chunkedCrossEntropy(
        labelled.select(pass.hidden_BTD),
        model.headWeight,
        labelled.labels_N,
        lossWeight_N,
        {
          ...(options.lossChunkSize === undefined ? {} : { chunkSize: options.lossChunkSize }),
          computeDtype: options.autocastDtype,
        },
      ),
    )
    // A head of its own has its gradient before the backward of the body.
    if (model.lm_head && model.headWeight.requiresGrad) optimizer.gradients.ready(model.headWeight)
    region('backward', () => pass.backward(labelled.scatter(gradient_ND)))
    return loss_N
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
