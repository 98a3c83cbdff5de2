import { defineSignal, type MethodCost, type RunShape } from '../method/define-method.js'
import { forwardFlops, numRefreshes, numRefreshesFromStart } from '../method/flops.js'
import type { Needs } from '../method/index.js'
import {
  checkModelEmbedding,
  MODEL_EMBEDDING_OPTIONS,
  type ModelEmbeddingConfig,
} from './model-embedding-options.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'

/** {@link ModelEmbeddingSignal}. */
export const modelEmbedding = defineSignal({
  kind: 'model-embedding',
  about: 'mean cosine to the anchors, in the last hidden states of the model as it is now',
  unit: 'sample',
  givesTrust: true,
  interactions: true,
  options: MODEL_EMBEDDING_OPTIONS,
  needs: needsOfEmbedding,
  check: checkModelEmbedding,
  cost: refreshCost,
  create: (options, { stepsPerEpoch }) =>
    new ModelEmbeddingSignal({ ...options, refreshEvery: stepsOf(options.refreshEvery, stepsPerEpoch) }),
})

/** What the options of an embedding ask for. */
export function needsOfEmbedding({
  scoreEval,
  scoreShrinkage,
}: Pick<ModelEmbeddingConfig, 'scoreEval' | 'scoreShrinkage'>): Needs {
  return {
    anchors: true,
    ...(scoreEval ? { ownForward: true } : {}),
    ...(scoreShrinkage === 'none' ? {} : { sources: 2 }),
  }
}

/** What a refresh counts by: steps, or those of an epoch. */
export function stepsOf(refreshEvery: number | 'epoch', stepsPerEpoch: number): number {
  return refreshEvery === 'epoch' ? Math.max(1, stepsPerEpoch) : refreshEvery
}

/** FLOPs of embedding the anchors again and again. */
export function refreshCost(
  options: RefreshTimes,
  { params, steps, stepsPerEpoch, anchors, tokensPerAnchor, firstScored = 0 }: RunShape,
): MethodCost {
  const every = stepsBetweenRefreshes(options, stepsPerEpoch)
  const refreshes =
    options.refreshFrom === 'start'
      ? numRefreshesFromStart(firstScored, steps, every)
      : numRefreshes(steps - firstScored, every)
  return { preparation: 0, signal: forwardFlops(params, anchors * tokensPerAnchor * refreshes) }
}

type RefreshTimes = Pick<ModelEmbeddingConfig, 'refresh' | 'refreshEvery' | 'refreshMin' | 'refreshFrom'>

/** adaptive: the fewest, so that the cost is an upper bound. */
function stepsBetweenRefreshes(
  { refresh, refreshEvery, refreshMin }: RefreshTimes,
  stepsPerEpoch: number,
): number {
  if (refresh === 'adaptive') return refreshMin
  return refreshEvery === 'epoch' ? stepsPerEpoch : refreshEvery
}
