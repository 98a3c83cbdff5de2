/** P trained parameters, V anchors, m samples. */
import { add, copy_, mul, noGrad, norm, scope, sum, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { RunConfig } from '../config/index.js'
import type { CausalLM } from '../model/index.js'
import { autocastDtype } from '../open/index.js'
import { SampleGradients } from '../prepare/index.js'
import { type AuditPools, batchesOf } from './audit-pools.js'

/** How far a step on a sample would lower the mean loss of the anchors, to first order. */
export interface Influence {
  /** <g_i, mean over all anchors of g_v> of the samples that were drawn, [m]. */
  readonly dot: Float64Array
  /** The same as a cosine. */
  readonly cosine: Float64Array
  /** With each half of the anchors alone. */
  readonly halves: readonly [HalfInfluence, HalfInfluence]
  readonly seconds: number
  readonly flops: number
}

interface HalfInfluence {
  readonly dot: Float64Array
  /** Of the anchors of the other half, in the order of the pool. */
  readonly heldOut: Float64Array
}

/**
 * Takes the gradient of the mean loss of every anchor and of the first m samples, over all trained parameters: a forward and a backward each, one
 * sample at a time. Holds two gradients beside the one at hand.
 */
export async function measureInfluence(
  model: CausalLM,
  pools: AuditPools,
  { config, padId, count, onProgress, checkStop }: InfluenceOptions,
): Promise<Influence> {
  const start = performance.now()
  const { whole, halves, anchors } = pools
  let numTokens = 0
  let done = 0
  const total = 2 * pools.numAnchors + count
  using gradients = new SampleGradients(model, {
    autocastDtype: autocastDtype(config.training.bf16, model.device),
  })
  const P = model.numTrainableParameters
  const mean_P = halves.map(() => noGrad(() => scope(() => zeros([P], { device: model.device })).persist()))
  const each = async (batches: readonly Batch[], take: (gradient_P: Tensor, i: number) => void) => {
    for (const [i, batch] of batches.entries()) {
      checkStop()
      noGrad(() => scope(() => take(gradients.of(batch), i)))
      numTokens += batch.samples[0]!.numTokens
      onProgress(`gradients: ${++done} of ${total}`)
      await new Promise(setImmediate)
    }
  }
  // One a batch, in the order that is given.
  const alone = (dataset: typeof anchors, indexes: readonly number[]) =>
    indexes.flatMap((index) => batchesOf(dataset, [index], 1, padId))
  try {
    for (const [h, { comparedWith }] of halves.entries())
      await each(alone(anchors, comparedWith), (gradient_P) => {
        copy_(mean_P[h]!, add(mean_P[h]!, mul(gradient_P, 1 / comparedWith.length)))
      })
    const heldOut: Float64Array[] = []
    for (const [h, pool] of halves.entries()) {
      const values = new Float64Array(pool.heldOut.length)
      await each(alone(anchors, pool.heldOut), (gradient_P, i) => {
        values[i] = sum(mul(gradient_P, mean_P[h]!)).item()
      })
      heldOut.push(values)
    }
    const dots = halves.map(() => new Float64Array(count))
    const lengths = new Float64Array(count)
    const drawn = Array.from({ length: count }, (_, i) => i)
    await each(alone(whole.dataset, drawn), (gradient_P, i) => {
      lengths[i] = norm(gradient_P).item()
      for (const [h, values] of dots.entries()) values[i] = sum(mul(gradient_P, mean_P[h]!)).item()
    })
    const shares = halves.map(({ comparedWith }) => comparedWith.length / pools.numAnchors)
    const length = noGrad(() =>
      scope(() => norm(add(mul(mean_P[0]!, shares[0]!), mul(mean_P[1]!, shares[1]!))).item()),
    )
    const dotOf = Float64Array.from(drawn, (i) => shares[0]! * dots[0]![i]! + shares[1]! * dots[1]![i]!)
    const half = (h: number): HalfInfluence => ({ dot: dots[h]!, heldOut: heldOut[h]! })
    return {
      dot: dotOf,
      cosine: dotOf.map((value, i) => value / Math.max(Number.MIN_VALUE, lengths[i]! * length)),
      halves: [half(0), half(1)],
      seconds: (performance.now() - start) / 1000,
      flops: 6 * model.numParameters * numTokens,
    }
  } finally {
    for (const tensor of mean_P) tensor.dispose()
  }
}

interface InfluenceOptions {
  readonly config: RunConfig
  readonly padId: number
  /** Samples whose gradients are taken, the first that were drawn. */
  readonly count: number
  readonly onProgress: (text: string) => void
  readonly checkStop: () => void
}
