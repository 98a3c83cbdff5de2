/** Online Data Mixing, arXiv 2312.02406. K sources with samples, G sources of the data. Page: docs/methods/odm.md. */
import { full } from '@adapt-ts/torch'
import { z } from 'zod'
import type { StepOutcome } from '../method/contract.js'
import { defineGate, defineMethod } from '../method/define-method.js'
import { EventList } from '../method/event-list.js'
import { wholeNumber } from '../method/number-ranges.js'
import { oneOf, option, real, usedWith } from '../method/option-table.js'
import { requireData } from '../method/require-data.js'
import { constantSignal } from '../signal/index.js'
import { activeSources } from './active-sources.js'

/** How a source's worth is estimated from its losses, and how a policy follows from it. */
export const POLICY_VARIANTS = ['smoothed', 'paper', 'exp3', 'dataflex'] as const
export type PolicyVariant = (typeof POLICY_VARIANTS)[number]

/** What a policy over sources has learnt. */
export interface SourcePolicy {
  /** pi: share of each source in what is read next, [K], sums to 1. */
  readonly shares: readonly number[]
  /** R: the running estimate of each source's worth, [K]. */
  readonly rewards: readonly number[]
  /** eps of the last update: how much of the uniform distribution was in it. */
  readonly exploration: number
}

/** Brings a loss of natural size to about [0, 1]: the constant of `exp3`. */
const LOSS_SCALE = 10
/** DataFlex's own: what a loss is multiplied by, most of a reward, least exploration, most by which exponents lie apart. */
const DATAFLEX = { scale: 15, most: 10_000, exploration: 0.03, apart: 5 } as const

/** A policy that has seen nothing: R = 0, eps_0 = 1 / K. */
export function initialPolicy(shares: readonly number[]): SourcePolicy {
  return { shares, rewards: shares.map(() => 0), exploration: 1 / shares.length }
}

/** eps_t = min(1 / K, sqrt(ln K / (K t))). */
export function explorationAt(step: number, numSources: number): number {
  return Math.min(1 / numSources, Math.sqrt(Math.log(numSources) / (numSources * step)))
}

/**
 * The policy after a step, from the mean loss L_i of every source that was in it; the others keep their R.
 *
 *   smoothed   R_i = a R_i + (1 - a) exp(L_i)     pi_i = (1 - K eps_t) R_i / sum R + eps_t
 *   paper      R_i = a R_i + (1 - a) L_i / pi_i   pi_i = (1 - K eps_t) exp(eps_{t-1} R_i) / sum + eps_t
 *   exp3       R_i = R_i + L_i / (10 pi_i)        as paper
 *   dataflex   R_i = a R_i + (1 - a) 15 L_i / pi_i, within 10000 of 0; as paper, eps_t 0.03 at least, exponents at most 5 apart
 *
 * @param loss  Nats per label by source; undefined for one that was not in the step.
 * @param options.decay  a; `exp3` has none.
 * @param options.step  t: completed optimiser steps, this one included; `dataflex` counts them from the end of the warm-up.
 * @see Online Data Mixing, arXiv 2312.02406.
 */
export function updatePolicy(
  { shares, rewards, exploration: lastExploration }: SourcePolicy,
  loss: readonly (number | undefined)[],
  {
    variant,
    decay,
    step,
  }: { readonly variant: PolicyVariant; readonly decay: number; readonly step: number },
): SourcePolicy {
  const gain = {
    smoothed: (r: number, l: number) => decay * r + (1 - decay) * Math.exp(l),
    paper: (r: number, l: number, p: number) => decay * r + ((1 - decay) * l) / p,
    exp3: (r: number, l: number, p: number) => r + l / LOSS_SCALE / p,
    dataflex: (r: number, l: number, p: number) =>
      Math.min(decay * r + ((1 - decay) * DATAFLEX.scale * l) / p, DATAFLEX.most),
  }[variant]
  const next = rewards.map((r, i) => (loss[i] === undefined ? r : gain(r, loss[i], shares[i]!)))
  const isDataflex = variant === 'dataflex'
  const least = isDataflex ? Math.min(DATAFLEX.exploration, 1 / shares.length) : 0
  const exploration = Math.max(least, explorationAt(step, shares.length))
  const apart = isDataflex ? DATAFLEX.apart : Infinity
  const largest = Math.max(...next)
  const raised =
    variant === 'smoothed'
      ? next
      : next.map((r) => Math.exp(Math.max(-apart, lastExploration * (r - largest))))
  const sum = raised.reduce((a, b) => a + b, 0)
  return {
    shares: raised.map((r) => (1 - shares.length * exploration) * (r / sum) + exploration),
    rewards: next,
    exploration,
  }
}

/** Steps of warm-up of the released runs, and the steps that those had. */
const PAPER_WARMUP = 2000
const PAPER_STEPS = 100_000

/** A policy over the sources that is learnt from their losses while training: what is read next, not how it counts. */
export const bandit = defineGate({
  kind: 'bandit',
  about: 'share of each source in what is read next, learnt from its training loss',
  units: ['sample'],
  applies: ['sample'],
  draws: 'sources',
  view: 'batch',
  options: {
    variant: oneOf(
      POLICY_VARIANTS,
      'smoothed',
      'How the worth of a source follows from its loss: smoothed is the released code; the others divide by the share, dataflex as that project',
    ),
    meanDecay: usedWith(
      'variant: smoothed, paper or dataflex',
      ({ variant }) => variant !== 'exp3',
      real({ above: 0, below: 1 }, 0.9, 'a: how much of the running estimate a step keeps; exp3 has none'),
    ),
    constants: oneOf(
      ['scaled', 'paper'],
      'scaled',
      'Whether the warm-up is the share of the run that it was in the source, or its 2000 steps',
    ),
    warmupSteps: option(
      z.union([wholeNumber({ min: 0 }), z.literal('auto')], {
        error: 'expected a whole number >= 0 or "auto"',
      }),
      ({ constants }) => (constants === 'paper' ? PAPER_WARMUP : 'auto'),
      'Steps on the natural shares before the policy is learnt; auto: 2 % of the run',
    ),
  },
  needs: () => ({ sources: 2 }),
  create: ({ variant, meanDecay: decay, warmupSteps }, facts) => {
    const data = requireData(facts, 'bandit')
    const active = activeSources(data)
    const warmup = warmupSteps === 'auto' ? scaledWarmup(facts.totalSteps) : warmupSteps
    let policy = initialPolicy(active.shares)
    const events = new EventList()
    return {
      weights: ({ score }) => full([score.shape[0]!], 1, { device: score.device }),
      shares: () => active.spread(policy.shares),
      observe({ step, wasFinite, samples }) {
        if (!wasFinite || step <= warmup || samples.index.length === 0) return
        const losses = meanLosses(samples, (index) => data.sourceIndex(index), data.sources.length)
        policy = updatePolicy(
          policy,
          active.indexes.map((g) => losses[g]),
          { variant, decay, step: variant === 'dataflex' ? step - warmup : step },
        )
        events.add({
          kind: 'policy',
          step,
          fields: {
            shares: active.named(policy.shares),
            rewards: active.named(policy.rewards),
            exploration: policy.exploration,
          },
        })
      },
      takeEvents: events.take,
      state: () => ({ json: { ...policy }, tensors: new Map() }),
      load({ json }) {
        policy = json as unknown as SourcePolicy
      },
    }
  },
})

/** Steps on the initial shares: as large a part of the run as in the source. */
function scaledWarmup(totalSteps: number): number {
  return Number.isFinite(totalSteps) ? Math.round((totalSteps * PAPER_WARMUP) / PAPER_STEPS) : PAPER_WARMUP
}

/** Mean nats per label of every source that is among the samples. */
function meanLosses(
  { index, labels, loss }: StepOutcome['samples'],
  sourceOf: (index: number) => number,
  numSources: number,
): (number | undefined)[] {
  const nats = new Float64Array(numSources)
  const counts = new Float64Array(numSources)
  for (const [i, sample] of index.entries()) {
    const g = sourceOf(sample)
    nats[g]! += loss[i]! * labels[i]!
    counts[g]! += labels[i]!
  }
  return Array.from(nats, (sum, g) => (counts[g]! > 0 ? sum / counts[g]! : undefined))
}

/** Online data mixing: the draw of the sources follows their losses. */
export const odm = defineMethod({
  id: 'odm',
  about: 'reads the sources by a bandit on their training losses (ODM, arXiv 2312.02406)',
  page: 'docs/methods/odm.md',
  signal: constantSignal,
  gate: bandit,
  apply: 'sample',
})
