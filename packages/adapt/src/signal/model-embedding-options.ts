import { z } from 'zod'
import {
  flag,
  type OptionProblem,
  type OptionsOf,
  oneOf,
  option,
  real,
  STEPS,
  steps,
  usedWith,
} from '../method/index.js'
import { wholeNumber } from '../method/number-ranges.js'
import { AGGREGATES } from './aggregate-scores.js'
import { REFRESH_KINDS, REFRESH_ORIGINS } from './refresh-schedule.js'

/** Options of the signal: pooling, refresh, centring and how several tasks become one score. */
export const MODEL_EMBEDDING_OPTIONS = {
  pooling: oneOf(
    ['position_weighted', 'mean', 'last'],
    'position_weighted',
    'How the hidden states of a sample become one vector.',
  ),
  tokens: oneOf(['all', 'response_only'], 'all', 'Tokens that are pooled; all: prompt and response alike.'),
  refresh: oneOf(
    REFRESH_KINDS,
    'interval',
    'When the anchors are embedded again: all every refresh_every steps, all when a probe has drifted, or a few every step.',
  ),
  refreshEvery: option<number | 'epoch'>(
    z.union([wholeNumber(STEPS), z.literal('epoch')], {
      error: `expected a whole number in [${STEPS.min}, ${STEPS.max}] or "epoch"`,
    }),
    50,
    'Optimiser steps between two embeddings of the anchors, or "epoch"; with refresh: rolling the steps of a round through all of them.',
  ),
  refreshFrom: usedWith(
    'refresh: interval',
    ({ refresh }) => refresh === 'interval',
    oneOf(
      REFRESH_ORIGINS,
      'last',
      'What refresh_every counts from: the last refresh, or the start of the run, which refreshes in the steps that it divides.',
    ),
  ),
  probeEvery: steps(25, 'refresh: adaptive: optimiser steps between two probes of 16 anchors.'),
  drift: real(
    { above: 0, max: 2 },
    0.01,
    "refresh: adaptive: 1 - cosine of the probe's centroid that is too much.",
  ),
  refreshMin: steps(25, 'refresh: adaptive: fewest optimiser steps between two refreshes.'),
  refreshMax: steps(1000, 'refresh: adaptive: most optimiser steps between two refreshes.'),
  aggregate: oneOf(
    AGGREGATES,
    'micro',
    'How the similarities to several tasks of anchors become one score: all anchors alike, mean over tasks, largest, soft maximum, or largest in standard deviations / 8.',
  ),
  lseBeta: real({ min: 1e-3, max: 1e6 }, 10, 'aggregate: lse: sharpness b of (1/b) ln mean exp(b s).'),
  center: flag(false, 'Subtract the running mean embedding first, so that scores spread.'),
  centroidEma: real(
    { min: 1e-6, max: 1 },
    1,
    'Share of the new centroid at a refresh: c = (1 - b) c_old + b c_new.',
  ),
  scoreShrinkage: oneOf(
    ['none', 'within_source'],
    'none',
    "within_source: at every refresh the part of a score that tells samples of one source apart shrinks to its reliability over two halves of the anchors; the sources' means stay.",
  ),
  scoreEval: flag(false, 'Score by an own forward pass without dropout; costs 2N FLOPs per token.'),
}

/** A value for every option of a config. */
export type ModelEmbeddingConfig = OptionsOf<typeof MODEL_EMBEDDING_OPTIONS>

/** What the signal is made with; the defaults are those of {@link MODEL_EMBEDDING_OPTIONS}. */
export interface ModelEmbeddingOptions extends Partial<Omit<ModelEmbeddingConfig, 'refreshEvery'>> {
  /** Optimiser steps between two embeddings of the anchors; of a whole round when rolling. */
  readonly refreshEvery?: number
  /** Samples remembered for centring and for recalibration at a refresh. Default 4096. */
  readonly reservoirSize?: number
}

/** What does not go together, whatever each option is by itself. */
export function checkModelEmbedding(options: Omit<ModelEmbeddingConfig, 'refreshEvery'>): OptionProblem[] {
  const { center, refresh, centroidEma } = options
  const problems = checkRefresh(options)
  const rebuilt = center ? 'center: true' : refresh === 'rolling' ? 'refresh: rolling' : undefined
  if (rebuilt !== undefined && centroidEma < 1) {
    const message = `expected 1 with ${rebuilt}, where the centroid is rebuilt at every step, received ${centroidEma}`
    problems.push({ key: 'centroidEma', message })
  }
  return problems
}

/** The interval between two refreshes must not be empty. */
export function checkRefresh({
  refresh,
  refreshMin,
  refreshMax,
}: Pick<ModelEmbeddingConfig, 'refresh' | 'refreshMin' | 'refreshMax'>): OptionProblem[] {
  if (refresh !== 'adaptive' || refreshMin <= refreshMax) return []
  const message = `expected at most method.signal.refresh_max (${refreshMax}), received ${refreshMin}`
  return [{ key: 'refreshMin', message }]
}
