/** P samples of the pool. How much of it preparation scores. */
import { z } from 'zod'
import { createPermutation } from '../batch/index.js'
import type { AnySignalDefinition, RunShape } from './define-method.js'
import { trainingFlops } from './flops.js'
import { realNumber } from './number-ranges.js'
import { option } from './option-table.js'
import type { PreparationTools } from './preparation.js'

/** Share of the FLOPs of the main run that preparation may take by default. */
const BUDGET = 0.25
/** Of the pool, however short the run is. */
const LEAST = 0.05

/** Option of a signal whose preparation may look at a part of the pool: see `SignalDefinition.scoresPart`. */
export const SCORED = {
  scored: option<number | 'auto'>(
    z.union([realNumber({ above: 0, max: 1 }), z.literal('auto')], {
      error: 'expected a number in (0, 1] or "auto"',
    }),
    'auto',
    'Share of the pool that is scored, drawn at random; auto: as much as takes 25 % of the FLOPs of training, at least 0.05; 1: all of it.',
  ),
} as const

type Options = Readonly<Record<string, unknown>>

/**
 * Share of a pool whose preparation fits the budget, in [0.05, 1].
 * @param costOf  FLOPs of preparation with a share of the pool: what grows with it, and what does not.
 */
export function affordableShare(costOf: (share: number) => number, shape: RunShape): number {
  const { params, tokens, tokensPerPass, passes } = shape
  // As long as without a selection: a share of what a selection trains with would be about as much as it may keep.
  const read = passes === undefined ? tokens : passes * tokensPerPass
  // What does not grow with the pool is paid first.
  const perPool = 2 * (costOf(1) - costOf(0.5))
  const left = BUDGET * trainingFlops(params, read, shape) - (costOf(1) - perPool)
  return perPool > 0 ? Math.min(1, Math.max(LEAST, left / perPool)) : 1
}

/**
 * Share of the pool that the preparation of a signal scores, in (0, 1]. A model that it reads beside the run's is taken to be as large, so that
 * an estimate and a run say the same.
 */
export function scoredShare(
  { scoresPart, prepares, cost }: Pick<AnySignalDefinition, 'scoresPart' | 'prepares' | 'cost'>,
  options: Options,
  shape: RunShape,
): number {
  if (scoresPart === undefined || prepares?.(options) === false) return 1
  if (typeof options.scored === 'number') return options.scored
  const like = { ...shape, params: 1, trainable: 1, paramsRead: {} }
  return affordableShare((share) => cost?.(options, partOf(like, share)).preparation ?? 0, like)
}

/** The run that a preparation is of. */
export function shapeOf(
  {
    data,
    anchors,
    totalSteps,
    passes,
  }: Pick<PreparationTools, 'anchors' | 'totalSteps' | 'passes'> & {
    readonly data: Pick<PreparationTools['data'], 'numSamples' | 'length'>
  },
  model: Pick<RunShape, 'params' | 'trainable' | 'frozenBase' | 'recompute' | 'positions'>,
): RunShape {
  const { numSamples: samples } = data
  let tokensPerPass = 0
  for (let i = 0; i < samples; i++) tokensPerPass += data.length(i)
  const lengths = anchors.flatMap((batch) => batch.samples).map(({ numTokens }) => numTokens)
  return {
    ...model,
    ...{ samples, tokensPerPass, passes, tokens: passes * tokensPerPass },
    ...{ steps: totalSteps, stepsPerEpoch: Math.max(1, totalSteps / passes) },
    anchors: lengths.length,
    tokensPerAnchor: lengths.reduce((a, b) => a + b, 0) / Math.max(1, lengths.length),
  }
}

/** A run whose preparation looks at a share of the pool. */
export function partOf(shape: RunShape, share: number): RunShape {
  return { ...shape, samples: share * shape.samples, tokensPerPass: share * shape.tokensPerPass }
}

/** Whether a sample of the pool is one of a random share: exactly so many of them, a function of seed and sample. */
export function isDrawn(
  { numSamples, seed }: { readonly numSamples: number; readonly seed: number },
  share: number,
  stream: number,
): (index: number) => boolean {
  const count = Math.max(1, Math.round(share * numSamples))
  if (count >= numSamples) return () => true
  const placeOf = createPermutation({ seed, epoch: 0, numSamples, stream })
  return (index) => placeOf(index) < count
}
