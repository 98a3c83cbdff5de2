import { nnls } from '../gate/index.js'
import { defineMethod } from '../method/index.js'
import { updateAlignment } from '../signal/index.js'

/** Ours, from the parts of OPUS: weights under which the samples' updates add up to the anchors'. */
export const updateMatch = defineMethod({
  id: 'update-match',
  about: "weights samples so that their optimiser updates add up to the anchors', half of them at most",
  page: 'docs/methods/update-match.md',
  signal: updateAlignment,
  gate: nnls,
  apply: 'loss',
  preset: { gate: { keep: 0.5 } },
})
