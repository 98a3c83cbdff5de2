import { defineGate } from '../method/define-method.js'
import { real, steps } from '../method/option-table.js'
import { CalibratedSigmoidGate } from './gates.js'

/** Most optimiser steps of the warm-up. */
const MAX_WARMUP_STEPS = 200

/** {@link CalibratedSigmoidGate}. */
export const calibratedSigmoidGate = defineGate({
  kind: 'calibrated-sigmoid',
  about: 'sigmoid((s - mu) / tau), mu and tau solved for targets of ESS and mean weight',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  options: {
    ess: real({ above: 0, below: 1 }, 0.95, 'Target effective sample size, as a share.'),
    edr: real(
      { above: 0, below: 1 },
      // w^2 <= w on [0, 1], so a mean weight at or above the target ESS cannot be reached.
      ({ ess }) => Math.min(0.5, 0.6 * (ess as number)),
      'Target mean weight, below ess. Default min(0.5, 0.6 * ess).',
    ),
    updateEvery: steps(50, 'Optimiser steps between two calibrations.'),
    warmupRatio: real({ min: 0, max: 1 }, 0.1, 'Share of the run before the first use, at most 200 steps.'),
  },
  check({ ess, edr }) {
    // w^2 <= w on [0, 1] makes the ESS ratio at least the mean weight, so this target has no solution.
    if (ess > edr) return []
    return [{ key: 'ess', message: `expected a target above method.gate.edr (${edr}), received ${ess}` }]
  },
  create: ({ ess, edr, updateEvery, warmupRatio }, { totalSteps }) =>
    new CalibratedSigmoidGate({
      ess,
      edr,
      updateEvery,
      warmupSteps: Math.min(MAX_WARMUP_STEPS, Math.round(warmupRatio * totalSteps)),
    }),
})
