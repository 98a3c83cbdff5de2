/** P samples of the pool. When a gate that draws samples draws anew, and how much of the pool is scored for it. */
import { z } from 'zod'
import { createPermutation } from '../batch/index.js'
import type { RunFacts } from '../method/contract.js'
import type { RunShape } from '../method/define-method.js'
import { realNumber, wholeNumber } from '../method/number-ranges.js'
import { type OptionsOf, oneOf, option, STEPS } from '../method/option-table.js'

/** Steps of warm-up and between two draws of the source's examples. */
const PAPER_STEPS = 10
/** Shares of a run. */
const WARMUP_SHARE = 0.1
const INTERVAL_SHARE = 0.15
/** What scoring may cost by default, as a share of training: 2N of a token that is scored against 6N of one that is trained. */
const SCORING_SHARE = 0.25
const SCORED_PER_TRAINED = SCORING_SHARE * 3
/** Tells the order in which parts are scored apart from orders of training. */
const PART_STREAM = 2 ** 35

const whenAuto = ({ constants }: Readonly<Record<string, unknown>>) =>
  constants === 'paper' ? PAPER_STEPS : 'auto'

/** Options of every gate that draws samples. */
export const POOL_DRAW_OPTIONS = {
  constants: oneOf(
    ['scaled', 'paper'],
    'scaled',
    'Whether the warm-up and the steps between two draws are shares of the run or the 10 steps each of the source.',
  ),
  warmupSteps: option(
    z.union([wholeNumber({ min: 0 }), z.literal('auto')], {
      error: 'expected a whole number >= 0 or "auto"',
    }),
    whenAuto,
    'Steps in the order of the data before the first draw; auto: 10 % of the run.',
  ),
  drawEvery: option(
    z.union([wholeNumber(STEPS), z.literal('auto')], { error: 'expected a whole number >= 1 or "auto"' }),
    whenAuto,
    'U: optimiser steps that one draw is for; auto: 15 % of the run.',
  ),
  scoredShare: option(
    z.union([realNumber({ above: 0, max: 1 }), z.literal('auto')], {
      error: 'expected a number above 0 and at most 1, or "auto"',
    }),
    'auto',
    'Share of the pool that is scored for a draw; auto: all of it, or a random part with which scoring takes 25 % of the FLOPs of training.',
  ),
}

/** Values of {@link POOL_DRAW_OPTIONS}. */
export type PoolDrawOptions = OptionsOf<typeof POOL_DRAW_OPTIONS>

/** The draws of a run. */
export interface DrawSchedule {
  /** Draws from the end of the warm-up to the end of the run. */
  readonly numDraws: number
  /** Share of the pool that is scored for one. */
  readonly scoredShare: number
  /** Share of the pool that is drawn from: where only a part is scored by default, as much as the run reads. */
  readonly drawnShare: number
  /** The draw that begins after so many completed steps, from 0; undefined where none does. */
  drawAt(step: number): number | undefined
}

/** @param run.passes  How often the run reads the pool; undefined where that is not known. */
export function drawSchedule(
  { warmupSteps, drawEvery, scoredShare }: PoolDrawOptions,
  { totalSteps, passes }: Pick<RunFacts, 'totalSteps' | 'passes'>,
): DrawSchedule {
  const isEndless = !Number.isFinite(totalSteps)
  const auto = (share: number) => (isEndless ? PAPER_STEPS : Math.round(share * totalSteps))
  const warmup = warmupSteps === 'auto' ? auto(WARMUP_SHARE) : warmupSteps
  const every = drawEvery === 'auto' ? Math.max(1, auto(INTERVAL_SHARE)) : drawEvery
  const numDraws = Math.max(0, Math.ceil((totalSteps - warmup) / every))
  const affordable =
    passes === undefined || isEndless || numDraws === 0 ? 1 : (SCORED_PER_TRAINED * passes) / numDraws
  return {
    numDraws,
    scoredShare: scoredShare === 'auto' ? Math.min(1, affordable) : scoredShare,
    drawnShare: scoredShare === 'auto' ? Math.min(1, passes ?? 1) : 1,
    drawAt(step) {
      const since = step - warmup
      return since >= 0 && since % every === 0 ? since / every : undefined
    },
  }
}

/** How often the pool is scored in a run. */
export function poolPasses(options: PoolDrawOptions, { steps, tokens, tokensPerPass }: RunShape): number {
  const passes = tokensPerPass > 0 ? tokens / tokensPerPass : 1
  const { numDraws, scoredShare } = drawSchedule(options, { totalSteps: steps, passes })
  return numDraws * scoredShare
}

/** What is scored of a pool, and drawn from. */
export interface PoolParts extends Pick<DrawSchedule, 'scoredShare' | 'drawnShare'> {
  readonly numSamples: number
  readonly seed: number
}

/** The samples that are drawn from: a random part, or all. @returns Dense indexes, ascending. */
export function drawnPool({ numSamples, seed, drawnShare }: Omit<PoolParts, 'scoredShare'>): Uint32Array {
  return samplesAt(0, sizeOf(drawnShare, numSamples), { numSamples, seed })
}

/**
 * What is scored for a draw.
 * @param part  Parts follow one another in a random order through what is drawn from, round after round.
 * @returns Dense indexes, ascending.
 */
export function scoredPart(
  part: number,
  { numSamples, seed, scoredShare, drawnShare }: PoolParts,
): Uint32Array {
  const numDrawn = sizeOf(drawnShare, numSamples)
  const size = Math.min(numDrawn, sizeOf(scoredShare, numSamples))
  const first = (part * size) % numDrawn
  const atEnd = Math.min(size, numDrawn - first)
  const found = [
    ...samplesAt(first, atEnd, { numSamples, seed }),
    ...samplesAt(0, size - atEnd, { numSamples, seed }),
  ]
  return Uint32Array.from(found).sort()
}

function sizeOf(share: number, numSamples: number): number {
  return Math.min(numSamples, Math.max(1, Math.ceil(share * numSamples)))
}

/** Samples at some places of an order that is a function of the seed. */
function samplesAt(
  first: number,
  size: number,
  { numSamples, seed }: Pick<PoolParts, 'numSamples' | 'seed'>,
): Uint32Array {
  // Not shuffled only to be sorted again.
  const isAll = size === numSamples
  const permute = isAll
    ? (i: number) => i
    : createPermutation({ seed, epoch: 0, numSamples, stream: PART_STREAM })
  return Uint32Array.from({ length: size }, (_, i) => permute(first + i)).sort()
}
