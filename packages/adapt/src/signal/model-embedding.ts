import { defineSignal } from '../method/define-method.js'
import { forwardFlops, numRefreshes, numRefreshesFromStart } from '../method/flops.js'
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
  interactions: true,
  options: MODEL_EMBEDDING_OPTIONS,
  needs: ({ scoreEval }) => ({ anchors: true, ...(scoreEval ? { ownForward: true } : {}) }),
  check: checkModelEmbedding,
  cost(options, { params, steps, stepsPerEpoch, anchors, tokensPerAnchor, firstScored = 0 }) {
    const every = stepsBetweenRefreshes(options, stepsPerEpoch)
    const refreshes =
      options.refreshFrom === 'start'
        ? numRefreshesFromStart(firstScored, steps, every)
        : numRefreshes(steps - firstScored, every)
    return { preparation: 0, signal: forwardFlops(params, anchors * tokensPerAnchor * refreshes) }
  },
  create: ({ refreshEvery, ...options }, { stepsPerEpoch }) =>
    new ModelEmbeddingSignal({
      ...options,
      refreshEvery: refreshEvery === 'epoch' ? Math.max(1, stepsPerEpoch) : refreshEvery,
    }),
})

/** adaptive: the fewest, so that the cost is an upper bound. */
function stepsBetweenRefreshes(
  { refresh, refreshEvery, refreshMin }: ModelEmbeddingConfig,
  stepsPerEpoch: number,
): number {
  if (refresh === 'adaptive') return refreshMin
  return refreshEvery === 'epoch' ? stepsPerEpoch : refreshEvery
}
