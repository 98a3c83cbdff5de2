/** K sources with samples, N labelled positions of a step. */
import { tensor } from '@adapt-ts/torch'
import { defineGate } from '../method/define-method.js'
import { EventList } from '../method/event-list.js'
import { oneOf, real, usedWith } from '../method/option-table.js'
import { requireData } from '../method/require-data.js'
import { activeSources } from './active-sources.js'

/** What the exponentiated gradient over the sources keeps between two steps. */
export interface GroupWeights {
  /** alpha: [K], sums to 1. */
  readonly alpha: readonly number[]
  /** lam: the last excess loss that each source had, [K]. */
  readonly excess: readonly number[]
  /** Sum of alpha over `count` updates, the initial one among them, [K]. */
  readonly sum: readonly number[]
  readonly count: number
}

/** Whose update: that of the method's own code, or DataFlex's. */
export const GROUP_VARIANTS = ['paper', 'dataflex'] as const
export type GroupVariant = (typeof GROUP_VARIANTS)[number]

/** Most by which DataFlex lets a source's excess lie away from the mean. */
const MOST_APART = 5

/** alpha_0 and the excess loss of sources that have not been seen; the mean of `dataflex` is without alpha_0. */
export function initialGroupWeights(
  alpha: readonly number[],
  excess: number,
  variant: GroupVariant = 'paper',
): GroupWeights {
  const none = { sum: alpha.map(() => 0), count: 0 }
  return {
    alpha,
    excess: alpha.map(() => excess),
    ...(variant === 'dataflex' ? none : { sum: alpha, count: 1 }),
  }
}

/** The running mean of alpha: the shares that a proxy learns. */
export function meanWeights({ sum, count }: GroupWeights): number[] {
  return sum.map((total) => total / count)
}

/**
 * Mean over a source's tokens of max(excess, 0), clipped token by token; undefined for a source without tokens.
 * @param excess_N  Loss less the reference's, nats.
 * @param source_N  Index of the source of each token.
 */
export function clippedExcess(
  excess_N: ArrayLike<number>,
  source_N: ArrayLike<number>,
  numSources: number,
): (number | undefined)[] {
  const sums = new Float64Array(numSources)
  const counts = new Float64Array(numSources)
  for (let n = 0; n < excess_N.length; n++) {
    sums[source_N[n]!]! += Math.max(excess_N[n]!, 0)
    counts[source_N[n]!]! += 1
  }
  return Array.from(sums, (sum, g) => (counts[g]! > 0 ? sum / counts[g]! : undefined))
}

/**
 * One update of the exponentiated gradient:
 *
 *   lam_d = the step's clipped excess of source d, or the last one it had;
 *           dataflex: less the mean of the sources of the step, within 5 of 0, and 0 for the others
 *   u     = softmax(ln alpha + eta lam)
 *   alpha = (1 - c) u + c / K
 *
 * @param excess  By source; undefined for one that was not in the step.
 * @see DoReMi, arXiv 2305.10429, algorithm 1.
 */
export function updateGroupWeights(
  { alpha, excess: last, sum, count }: GroupWeights,
  excess: readonly (number | undefined)[],
  {
    eta,
    smoothing,
    variant = 'paper',
  }: { readonly eta: number; readonly smoothing: number; readonly variant?: GroupVariant },
): GroupWeights {
  const now = last.map((before, d) => excess[d] ?? before)
  // Of a source that smoothing is not there to keep: exp of minus infinity is 0, and stays it.
  const gains = variant === 'dataflex' ? centred(excess) : now
  const logits = alpha.map((a, d) => Math.log(a) + eta * gains[d]!)
  const largest = Math.max(...logits)
  const raised = logits.map((logit) => Math.exp(logit - largest))
  const total = raised.reduce((a, b) => a + b, 0)
  const next = raised.map((u) => (1 - smoothing) * (u / total) + smoothing / alpha.length)
  return { alpha: next, excess: now, sum: sum.map((s, d) => s + next[d]!), count: count + 1 }
}

/** Excess less the mean over the sources that have one, within bounds; 0 for those that have none. */
function centred(excess: readonly (number | undefined)[]): number[] {
  const known = excess.filter((own) => own !== undefined)
  const mean = known.reduce((a, b) => a + b, 0) / known.length
  return excess.map((own) =>
    own === undefined ? 0 : Math.max(-MOST_APART, Math.min(MOST_APART, own - mean)),
  )
}

/** Which objective the weights of tokens give under `token.wmean`. */
export const GROUP_NORMS = ['repo', 'paper'] as const
export type GroupNorm = (typeof GROUP_NORMS)[number]

/**
 * Weight of a token of each source.
 *
 *   repo    alpha_d / q_d, q the shares that the proxy draws sources with: sum over tokens of w ce / sum of w
 *   paper   alpha_d N / n_d, n_d the tokens of d in the step: the sum of alpha_d times the mean loss of d, over the sources that are there
 *
 * @param tokens  Tokens of each source in the step.
 */
export function tokenWeights(
  { alpha }: GroupWeights,
  norm: GroupNorm,
  { drawShares, tokens }: { readonly drawShares: readonly number[]; readonly tokens: readonly number[] },
): number[] {
  if (norm === 'repo') return alpha.map((a, d) => a / drawShares[d]!)
  const total = tokens.reduce((a, b) => a + b, 0)
  return alpha.map((a, d) => (tokens[d]! > 0 ? (a * total) / tokens[d]! : 0))
}

/** Weights of sources that grow with the loss which a reference shows to be avoidable: what DoReMi's proxy trains with. */
export const groupDro = defineGate({
  kind: 'group-dro',
  about: 'weight of each source by an exponentiated gradient on its excess loss (group DRO)',
  units: ['token'],
  applies: ['loss'],
  view: 'step',
  options: {
    variant: oneOf(
      GROUP_VARIANTS,
      'paper',
      "paper: the update of the method's own code; dataflex: on excess less its mean, without memory of sources that are not in the step",
    ),
    eta: real(
      { above: 0, max: 1000 },
      ({ variant }) => (variant === 'dataflex' ? 0.1 : 1),
      'Step of the exponentiated gradient',
    ),
    smoothing: real(
      { min: 0, max: 1 },
      ({ variant }) => (variant === 'dataflex' ? 0.01 : 1e-3),
      'c: share of the uniform distribution in the weights',
    ),
    norm: oneOf(
      GROUP_NORMS,
      'repo',
      'repo: a mean over all tokens of the step, as the released code has it; paper: the mean of every source counts by its weight',
    ),
    firstExcess: usedWith(
      'variant: paper',
      ({ variant }) => variant === 'paper',
      real(
        { min: 0, max: 100 },
        10,
        'Excess loss, in nats, of a source that no step has had yet; doremi sets it to ln of the vocabulary',
      ),
    ),
  },
  needs: () => ({ sources: 2 }),
  create: ({ variant, eta, smoothing, norm, firstExcess }, facts) => {
    const data = requireData(facts, 'method.gate group-dro')
    const active = activeSources(data)
    const { placeOf, shares: drawShares } = active
    let state = initialGroupWeights(drawShares, firstExcess, variant)
    // What the step under way leads to; taken over when it is known to have been finite.
    let pending: GroupWeights | undefined
    const events = new EventList()
    return {
      weights({ score, source }) {
        const source_N = Array.from(source, (g) => placeOf.get(g)!)
        const excess = clippedExcess(score.toFloat32Array(), source_N, drawShares.length)
        pending = updateGroupWeights(state, excess, { eta, smoothing, variant })
        const tokens = drawShares.map((_, d) => source_N.filter((own) => own === d).length)
        const weights = tokenWeights(pending, norm, { drawShares, tokens })
        return tensor(
          Float32Array.from(source_N, (d) => weights[d]!),
          [source_N.length],
          { device: score.device },
        )
      },
      observe({ step, wasFinite }) {
        if (wasFinite && pending !== undefined) {
          state = pending
          const fields = { shares: active.named(state.alpha), mean: active.named(meanWeights(state)) }
          events.add({ kind: 'policy', step, fields: { ...fields, excess: active.named(state.excess) } })
        }
        pending = undefined
      },
      takeEvents: events.take,
      state: () => ({ json: { ...state }, tensors: new Map() }),
      load({ json }) {
        state = json as unknown as GroupWeights
      },
    }
  },
})
