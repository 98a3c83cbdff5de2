import { ConfigError } from '../errors.js'
import { defineGate, type OptionProblem } from '../method/define-method.js'
import { flag, oneOf, real, steps, usedWith } from '../method/option-table.js'
import { beforeLift, liftFor, TRUSTS } from './ess-target.js'
import { CalibratedSigmoidGate } from './gates.js'

/** Most optimiser steps of the warm-up. */
const MAX_WARMUP_STEPS = 200
const isAnnealed = ({ anneal }: Readonly<Record<string, unknown>>) => anneal === true

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
    anneal: flag(false, 'Lower the target from 1 to ess between two points of the run.'),
    annealFrom: usedWith(
      'anneal: true',
      isAnnealed,
      real({ min: 0, max: 1 }, 0.1, 'Share of the run up to which the target is 1.'),
    ),
    annealTo: usedWith(
      'anneal: true',
      isAnnealed,
      real({ min: 0, max: 1 }, 0.8, 'Share of the run from which on the target is ess.'),
    ),
    floor: real({ min: 0, below: 1 }, 0, 'Least weight, as a share of the mean weight.'),
    trust: oneOf(
      TRUSTS,
      'off',
      'How far the target follows what each refresh says of the signal: rank correlation of two halves of the anchors, or 2 AUC - 1 of anchors against training samples; at 0 every weight is the same.',
    ),
  },
  asksTrust: ({ trust }) => (trust === 'off' ? undefined : 'trust'),
  check({ ess, edr, anneal, annealFrom, annealTo, floor }) {
    const problems: OptionProblem[] = []
    const sigmoid = beforeLift({ edr, ess }, liftFor(floor, edr))
    // w^2 <= w on [0, 1] makes the ESS ratio at least the mean weight, so this target has no solution.
    if (ess <= edr) {
      problems.push({
        key: 'ess',
        message: `expected a target above method.gate.edr (${edr}), received ${ess}`,
      })
    } else if (sigmoid.ess <= sigmoid.edr) {
      const message = `expected a share of the mean weight that leaves room for method.gate.ess (${ess}) and method.gate.edr (${edr}), received ${floor}`
      problems.push({ key: 'floor', message })
    }
    if (anneal && annealFrom >= annealTo) {
      const message = `expected a share below method.gate.anneal_to (${annealTo}), received ${annealFrom}`
      problems.push({ key: 'annealFrom', message })
    }
    return problems
  },
  create({ ess, edr, updateEvery, warmupRatio, anneal, annealFrom, annealTo, floor, trust }, { totalSteps }) {
    if (anneal && !Number.isFinite(totalSteps)) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        'method.gate.anneal: expected false in a run without a known number of steps, received true',
      )
    }
    return new CalibratedSigmoidGate({
      ...{ ess, edr, updateEvery, floor, trust },
      warmupSteps: Math.min(MAX_WARMUP_STEPS, Math.round(warmupRatio * totalSteps)),
      ...(anneal ? { anneal: { from: annealFrom * totalSteps, to: annealTo * totalSteps } } : {}),
    })
  },
})
