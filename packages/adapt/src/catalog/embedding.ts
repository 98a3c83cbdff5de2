import { topFraction } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { textEmbedding } from '../signal/index.js'

/** Selection by embeddings, with the constants of Compute-Constrained Data Selection (arXiv 2410.16208). */
export const embedding = defineMethod({
  id: 'embedding',
  about:
    'trains on the samples whose text an encoder (without one: the model before training) finds nearest to the anchors',
  page: 'docs/methods/embedding.md',
  signal: textEmbedding,
  gate: topFraction,
  apply: 'mask',
  preset: { signal: { queries: 'task', cleaning: 'ccds' }, gate: { keep: 0.025 } },
})
