import { defineGate } from '../method/define-method.js'
import { createIdentityGate } from './gates.js'

/** {@link createIdentityGate}. */
export const identityGate = defineGate({
  kind: 'identity',
  about: 'max(s, 0)',
  units: ['sample'],
  applies: ['loss'],
  isFixed: true,
  view: 'batch',
  options: {},
  create: () => createIdentityGate(),
})
