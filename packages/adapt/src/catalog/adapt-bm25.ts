import { sigmoidGate } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { bm25Signal } from './bm25.js'

/** ADAPT with words in place of embeddings (arXiv 2605.05227): every sample stays, its weight follows from BM25. */
export const adaptBm25 = defineMethod({
  id: 'adapt-bm25',
  about: 'weighs every sample by how well its words fit the anchors, scored once before training',
  page: 'docs/methods/adapt-bm25.md',
  signal: bm25Signal,
  gate: sigmoidGate,
  apply: 'loss',
  preset: { signal: { scale: 'z', idf: 'lucene', queries: 'anchor' } },
})
