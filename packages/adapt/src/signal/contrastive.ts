import { defineSignal } from '../method/define-method.js'
import { oneOf, real, usedWith, whole } from '../method/index.js'
import { ContrastiveScorer } from './contrastive-scorer.js'
import { needsOfEmbedding, refreshCost, stepsOf } from './model-embedding.js'
import { checkRefresh, MODEL_EMBEDDING_OPTIONS } from './model-embedding-options.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'

const {
  pooling,
  tokens,
  refreshEvery,
  refreshFrom,
  probeEvery,
  drift,
  refreshMin,
  refreshMax,
  scoreShrinkage,
  scoreEval,
} = MODEL_EMBEDDING_OPTIONS

/** {@link ContrastiveScorer} on the states of the model as it is now. */
export const contrastive = defineSignal({
  kind: 'contrastive',
  about:
    'log density ratio of anchors and training samples, by a linear discriminant of the last hidden states',
  unit: 'sample',
  givesTrust: true,
  options: {
    pooling,
    tokens,
    refresh: oneOf(
      ['interval', 'adaptive'],
      'interval',
      'When the anchors are embedded again: all every refresh_every steps, or all when a probe has drifted.',
    ),
    refreshEvery,
    refreshFrom,
    probeEvery,
    drift,
    refreshMin,
    refreshMax,
    shrinkage: real(
      { min: 0, max: 1 },
      0.3,
      'Share of the mean variance in every direction of the covariance: 0 trusts it as it is, 1 leaves the difference of the means.',
    ),
    projection: whole(
      { min: 1, max: 1024 },
      256,
      'Width of the random projection of states that are wider than it.',
    ),
    background: whole(
      { min: 2, max: 4096 },
      128,
      'Recent training samples that are embedded beside the anchors at a refresh; before so many were seen every score is 0.',
    ),
    form: oneOf(
      ['standard', 'odds'],
      'standard',
      'Standard deviations above the mean sample, cut at 8 and divided by it; or the logarithm of the odds of being like the anchors.',
    ),
    prior: usedWith(
      'form: odds',
      ({ form }) => form === 'odds',
      real({ above: 0, below: 1 }, 0.5, 'Share of the training samples that are like the anchors.'),
    ),
    scoreShrinkage,
    scoreEval,
  },
  needs: needsOfEmbedding,
  check: checkRefresh,
  cost(options, shape) {
    // The first refresh waits for the background.
    const { firstScored = 0, samples, steps, tokens, tokensPerPass, anchors, tokensPerAnchor } = shape
    const tokensPerSample = tokensPerPass / samples
    const wait = Math.ceil((options.background * steps * tokensPerSample) / tokens)
    const tokensAtOnce = anchors * tokensPerAnchor + options.background * tokensPerSample
    return refreshCost(options, {
      ...shape,
      firstScored: Math.min(firstScored + wait, steps),
      anchors: 1,
      tokensPerAnchor: tokensAtOnce,
    })
  },
  create({ shrinkage, projection, background, form, prior, ...options }, { stepsPerEpoch }) {
    const every = stepsOf(options.refreshEvery, stepsPerEpoch)
    return new ModelEmbeddingSignal(
      { ...options, refreshEvery: every },
      (reservoir) => new ContrastiveScorer({ shrinkage, projection, background, form, prior }, reservoir),
    )
  },
})
