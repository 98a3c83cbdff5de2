import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { textEmbedding } from '../signal/index.js'

/** Nearest neighbours of the anchors, rank by rank, as in DataFlex. */
export const near = defineMethod({
  id: 'near',
  about:
    'trains on the nearest neighbours of every anchor, rank by rank, under an encoder (without one: the model before training)',
  page: 'docs/methods/near.md',
  signal: textEmbedding,
  gate: topFraction,
  apply: 'mask',
  preset: {
    signal: { indexed: 'text', maxTokens: 2048, aggregate: 'round_robin', turns: 'anchor', neighbors: 1000 },
    gate: { keep: 0.025 },
  },
})
