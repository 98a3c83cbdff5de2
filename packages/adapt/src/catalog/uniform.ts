import { identityGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { constantSignal } from '../signal/index.js'

/** Ordinary training. */
export const uniform = defineMethod({
  id: 'uniform',
  about: 'every weight is 1',
  page: 'docs/methods/uniform.md',
  signal: constantSignal,
  gate: identityGate,
  apply: 'loss',
})
