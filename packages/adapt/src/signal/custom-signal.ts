import { CUSTOM_OPTIONS, requireName } from '../method/custom-options.js'
import { defineSignal } from '../method/define-method.js'

/** A signal that the code of the run brings under a name. */
export const customSignal = defineSignal({
  kind: 'custom',
  about: 'what the code of the run brings',
  unit: 'sample',
  byCode: true,
  options: CUSTOM_OPTIONS,
  needs: () => ({}),
  check: ({ name }) => requireName('signal', name),
})
