import { linearGate } from '../gate/index.js'
import { defineMethod } from '../method/define-method.js'
import { randomSignal } from '../signal/index.js'

/** The uniform run but for a disturbance that means nothing: the least difference that two runs can have. */
export const twin = defineMethod({
  id: 'twin',
  about: 'uniform but for a tiny random disturbance: the noise floor of a comparison',
  page: 'docs/methods/twin.md',
  signal: randomSignal,
  gate: linearGate,
  apply: 'loss',
  preset: { gate: { slope: 1e-6 } },
})
