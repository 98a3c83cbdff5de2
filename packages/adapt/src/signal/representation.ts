import { defineSignal } from '../method/define-method.js'
import { oneOf } from '../method/option-table.js'
import { SCORED } from '../method/scored-share.js'
import { similarityOptions, similarityScores } from './anchor-similarity.js'

/** How states become a vector, for signals that embed the pool before training. */
export const POOLING_OPTIONS = {
  pooling: oneOf(
    ['position_weighted', 'mean', 'last'],
    'position_weighted',
    'How the positions of a sample become one vector.',
  ),
  tokens: oneOf(['all', 'response_only'], 'all', 'Which positions are pooled.'),
}

/** s = cosine between a sample and the anchors in the last hidden states of the model before training. */
export const representation = defineSignal({
  kind: 'representation',
  about: 'similarity to the anchors in the states of the model before training',
  unit: 'sample',
  options: { ...POOLING_OPTIONS, ...similarityOptions('round_robin'), ...SCORED },
  scoresPart: 'rest is left out',
  needs: () => ({ anchors: true }),
  cost: (_, { params, tokensPerPass, anchors, tokensPerAnchor }) => ({
    preparation: 2 * params * (tokensPerPass + anchors * tokensPerAnchor),
    signal: 0,
  }),
  prepare: ({ pooling, tokens, ...options }, tools) =>
    tools.withModel(undefined, (model) => {
      const compared = {
        model,
        anchors: tools.anchors,
        samplesOf: async (indexes: readonly number[]) => indexes.map((index) => tools.data.sample(index)),
        pooling: { pooling, tokens },
      }
      return similarityScores(options, compared, tools)
    }),
})
