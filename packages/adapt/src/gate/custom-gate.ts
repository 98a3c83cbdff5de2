import { ConfigError } from '../errors.js'
import { CUSTOM_OPTIONS, requireName } from '../method/custom-options.js'
import { defineGate } from '../method/define-method.js'

/** A gate that the code of the run brings under a name. */
export const customGate = defineGate({
  kind: 'custom',
  about: 'what the code of the run brings',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  byCode: true,
  options: CUSTOM_OPTIONS,
  check: ({ name }) => requireName('gate', name),
  create({ name }) {
    throw new ConfigError(
      'NEEDS_CODE',
      `method.gate.name: expected a gate called "${name}" from the code of the run`,
    )
  },
})
