import { z } from 'zod'
import { defineSignal, type OptionProblem } from '../method/define-method.js'
import { forwardFlops, numRefreshes } from '../method/flops.js'
import { wholeNumber } from '../method/number-ranges.js'
import { flag, type OptionsOf, oneOf, option, real, STEPS, steps } from '../method/option-table.js'
import { AGGREGATES } from './aggregate-scores.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'
import { REFRESH_KINDS } from './refresh-schedule.js'

const OPTIONS = {
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
  scoreEval: flag(false, 'Score by an own forward pass without dropout; costs 2N FLOPs per token.'),
}

/** {@link ModelEmbeddingSignal}. */
export const modelEmbedding = defineSignal({
  kind: 'model-embedding',
  about: 'mean cosine to the anchors, in the last hidden states of the model as it is now',
  unit: 'sample',
  options: OPTIONS,
  needs: ({ scoreEval }) => ({ anchors: true, ...(scoreEval ? { ownForward: true } : {}) }),
  check: checkOptions,
  cost(options, { params, steps, stepsPerEpoch, anchors, tokensPerAnchor }) {
    const refreshes = numRefreshes(steps, stepsBetweenRefreshes(options, stepsPerEpoch))
    return { preparation: 0, signal: forwardFlops(params, anchors * tokensPerAnchor * refreshes) }
  },
  create: ({ refreshEvery, ...options }, { stepsPerEpoch }) =>
    new ModelEmbeddingSignal({
      ...options,
      refreshEvery: refreshEvery === 'epoch' ? Math.max(1, stepsPerEpoch) : refreshEvery,
    }),
})

type Options = OptionsOf<typeof OPTIONS>

/** adaptive: the fewest, so that the cost is an upper bound. */
function stepsBetweenRefreshes(
  { refresh, refreshEvery, refreshMin }: Options,
  stepsPerEpoch: number,
): number {
  if (refresh === 'adaptive') return refreshMin
  return refreshEvery === 'epoch' ? stepsPerEpoch : refreshEvery
}

function checkOptions({ center, refresh, centroidEma, refreshMin, refreshMax }: Options): OptionProblem[] {
  const problems: OptionProblem[] = []
  const rebuilt = center ? 'center: true' : refresh === 'rolling' ? 'refresh: rolling' : undefined
  if (rebuilt !== undefined && centroidEma < 1) {
    const message = `expected 1 with ${rebuilt}, where the centroid is rebuilt at every step, received ${centroidEma}`
    problems.push({ key: 'centroidEma', message })
  }
  if (refresh === 'adaptive' && refreshMin > refreshMax) {
    const message = `expected at most method.signal.refresh_max (${refreshMax}), received ${refreshMin}`
    problems.push({ key: 'refreshMin', message })
  }
  return problems
}
