import { full } from '@adapt-ts/torch'
import { z } from 'zod'
import type { RunFacts } from '../method/contract.js'
import { defineGate } from '../method/define-method.js'
import { wholeNumber } from '../method/number-ranges.js'
import { option, real, whole } from '../method/option-table.js'
import { createSigmoidGate } from './gates.js'
import { temperature } from './temperature.js'

type Layout = keyof NonNullable<RunFacts['layout']>

/** A count by which the loss is divided: the user's, or that of the run. */
const countOf = (given: number | 'run', facts: RunFacts, of: Layout): number =>
  given === 'run' ? (facts.layout?.[of] ?? 1) : given

const count = (help: string) =>
  option<number | 'run'>(
    z.union([wholeNumber({ min: 1, max: 1_000_000 }), z.literal('run')], {
      error: 'expected a whole number in [1, 1000000] or "run"',
    }),
    'run',
    help,
  )

/**
 * The gate and the loss of DataFlex's ADAPT for micro-batches of its own, k of them on each of W ranks:
 *
 *   step < warmup   w_i = 1,                                      L = (1/k) sum_i n_i l_i / sum_i n_i
 *   after that      w_i = min(sigmoid(s_i / max(tau, 1e-8)), w_max),  L = 1/(k W) sum_i w_i l_i
 *
 * over all samples of the step, l_i the mean and n_i the number of the labels of sample i. k and W are constants: however this step is cut, the
 * result is the same.
 */
export const dataflexGate = defineGate({
  kind: 'dataflex',
  about:
    'min(sigmoid(s / temperature), w_max), the loss a sum over each micro-batch of the run that is matched',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  divides: true,
  options: {
    temperature,
    wMax: real({ min: 1e-9, max: 1e6 }, 1, 'Largest weight; 1 clips nothing.'),
    warmupSteps: whole(
      { min: 0, max: 1_000_000_000 },
      0,
      'Optimiser steps at the start with the plain loss; nothing is scored in them.',
    ),
    accumulation: count(
      'Micro-batches of a step on each rank in the run that is matched; run: training.gradient_accumulation_steps.',
    ),
    world: count('Ranks of the run that is matched; run: those of this run.'),
  },
  needs: () => ({ unpacked: true }),
  firstScored: ({ warmupSteps }) => warmupSteps,
  create({ temperature, wMax, warmupSteps, accumulation, world }, facts) {
    const sigmoid = createSigmoidGate({ temperature, wMax })
    const k = countOf(accumulation, facts, 'accumulation')
    const W = countOf(world, facts, 'worldSize')
    return {
      weights(scores, step) {
        const { score } = scores
        return step.step < warmupSteps
          ? full(score.shape, 1, { device: score.device })
          : sigmoid.weights(scores, step)
      },
      divisor: (labels, { step }) =>
        step < warmupSteps ? { unit: 'token', z: labels * k } : { unit: 'sample', z: k * W },
    }
  },
})
