import { dataflexGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { modelEmbedding } from '../signal/index.js'

/** ADAPT as DataFlex has it, to compare with runs of that project. */
export const dataflex = defineMethod({
  id: 'dataflex',
  about: 'ADAPT as DataFlex computes it: a sum over micro-batches, refreshes at fixed steps, a plain warm-up',
  page: 'docs/methods/dataflex.md',
  signal: modelEmbedding,
  gate: dataflexGate,
  apply: 'loss',
  preset: { signal: { refreshFrom: 'start' } },
  normalizer: () => 'sample.mean',
})
