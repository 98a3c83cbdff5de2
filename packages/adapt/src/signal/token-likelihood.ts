/** N labelled positions of a micro-batch. */
import { mul, noGrad } from '@adapt-ts/torch'
import { z } from 'zod'
import type { Needs } from '../method/contract.js'
import { defineSignal, type MethodCost, type RunShape } from '../method/define-method.js'
import { type OptionsOf, option, usedWith } from '../method/option-table.js'
import type { Artefact, PreparationTools, TokenStatistic } from '../method/preparation.js'
import { SCORED } from '../method/scored-share.js'

/** In the place of a folder: the model as it is now, and the model of the config at its start. */
const CURRENT = 'current'
const BASE = 'base'

const referenceOption = (fallback: string, help: string) =>
  option(z.string().min(1, { error: 'expected a folder or a word' }), fallback, help)

const OPTIONS = {
  reference: referenceOption(
    CURRENT,
    'Whose probabilities: current, the model as it is now; base, the model at its start, whose adapter changes nothing yet; or the folder of a model with the same tokenizer',
  ),
  scored: usedWith('reference: base or a folder', ({ reference }) => reference !== CURRENT, SCORED.scored),
} as const

const FROZEN_OPTIONS = {
  reference: referenceOption(
    BASE,
    'Whose probabilities: base, the model at its start, whose adapter changes nothing yet; or the folder of a model with the same tokenizer',
  ),
  ...SCORED,
} as const

type Options = OptionsOf<typeof OPTIONS>

const isFrozen = ({ reference }: Options): boolean => reference !== CURRENT

/** What a frozen model says of every token of the pool, once. */
async function prepareStatistic(
  statistic: TokenStatistic,
  { reference }: Options,
  tools: PreparationTools,
): Promise<Artefact> {
  const folder = reference === BASE ? undefined : tools.modelFolder(reference, 'method.signal.reference')
  return {
    tokenLoss: await tools.tokenLosses(statistic, folder, (index) => tools.isScored(index), statistic),
  }
}

const FROZEN = {
  scoresPart: 'rest is left out',
  readsModels: ({ reference }: Options): Readonly<Record<string, string>> =>
    reference === CURRENT || reference === BASE ? {} : { reference },
  /** 2 N for each token of the pool; a reference that is given is charged as if it had the run's N. */
  cost: (options: Options, { params, tokensPerPass }: RunShape): MethodCost => ({
    preparation: isFrozen(options) ? 2 * params * tokensPerPass : 0,
    signal: 0,
  }),
} as const

/** ln p(y_t): minus the loss of the token, under the model as it is now or a frozen one. */
export const tokenLikelihood = defineSignal({
  kind: 'token-likelihood',
  about: 'the logarithm of the probability of each token, under the model as it is now or a frozen one',
  unit: 'token',
  options: OPTIONS,
  ...FROZEN,
  needs: (options): Needs => (isFrozen(options) ? { reference: true } : { tokenLosses: true }),
  prepares: isFrozen,
  prepare: (options, tools) => prepareStatistic('loss', options, tools),
  create: (options) => {
    const frozen = isFrozen(options)
    return {
      score: (evidence) =>
        noGrad(() => mul(frozen ? evidence.referenceLoss_N() : evidence.tokenLoss_N(), -1)),
    }
  },
})

/** u_t: the probability of the token and of all that are less likely in its place, under a frozen model. */
export const tokenMass = defineSignal({
  kind: 'token-mass',
  about: 'the probability of each token together with all less likely ones, under a frozen model',
  unit: 'token',
  options: FROZEN_OPTIONS,
  ...FROZEN,
  check: ({ reference }) =>
    reference === CURRENT
      ? [
          {
            key: 'reference',
            message: 'expected "base" or a folder, a model that is frozen, received "current"',
          },
        ]
      : [],
  needs: (): Needs => ({ reference: true }),
  prepare: (options, tools) => prepareStatistic('mass', options, tools),
  create: () => ({ score: (evidence) => evidence.referenceLoss_N() }),
})
