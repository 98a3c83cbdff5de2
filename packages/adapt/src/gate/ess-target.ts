import type { Trust } from '../method/index.js'

/** Whether, and by which figure, the target follows how far the signal can be trusted. */
export const TRUSTS = ['off', 'halves', 'separation'] as const
/** One of {@link TRUSTS}. */
export type TrustKind = (typeof TRUSTS)[number]

/** What the target follows. */
export interface EssTargetOptions {
  /** Where it ends, with full trust. */
  readonly ess: number
  /** Optimiser steps over which it falls from 1; absent: it is there at once. */
  readonly anneal?: { readonly from: number; readonly to: number }
  readonly trust: TrustKind
}

/** What a new figure changes of the smoothed one. */
const TRUST_SHARE = 0.5
/** From here on a target is met by weights that are all equal. */
const NEARLY_ONE = 1 - 1e-3

/**
 * The effective sample size that a gate is solved for in step t:
 *
 *   1 - (1 - ess) a(t) max(0, r),   a = clip((t - from) / (to - from), 0, 1)
 *
 * r is the figure of the refreshes so far, smoothed (half of each new one); 0 before the first. With no schedule a = 1, without trust r = 1.
 */
export class EssTarget {
  private smoothed: number | undefined

  constructor(private readonly options: EssTargetOptions) {}

  /** In optimiser step `step`; undefined where every weight is the same. */
  at(step: number): number | undefined {
    const { ess, anneal, trust } = this.options
    const share = anneal ? Math.min(1, Math.max(0, (step - anneal.from) / (anneal.to - anneal.from))) : 1
    const trusted = trust === 'off' ? 1 : Math.max(0, this.smoothed ?? 0)
    const target = 1 - (1 - ess) * share * trusted
    return target > NEARLY_ONE ? undefined : target
  }

  /** Takes in what a refresh said; gives the figure and the smoothed one where the target follows them. */
  see(figures: Trust): { readonly trust: number; readonly smoothed: number } | undefined {
    const { trust: kind } = this.options
    if (kind === 'off') return undefined
    const trust = figures[kind]
    this.smoothed =
      this.smoothed === undefined ? trust : (1 - TRUST_SHARE) * this.smoothed + TRUST_SHARE * trust
    return { trust, smoothed: this.smoothed }
  }

  state(): number | null {
    return this.smoothed ?? null
  }

  load(state: unknown): void {
    this.smoothed = typeof state === 'number' ? state : undefined
  }
}

/** w = a + b sigma: what makes a sigmoid a weight of at least `floor` times the mean weight. */
export interface Lift {
  readonly a: number
  readonly b: number
}

/** a = floor x mean weight, b = 1 - a: weights stay at or below 1. */
export function liftFor(floor: number, edr: number): Lift {
  const a = floor * edr
  return { a, b: 1 - a }
}

/** Targets of the sigmoid that give these of the weight. */
export function beforeLift(targets: { edr: number; ess: number }, { a, b }: Lift) {
  return lifted(targets, -a / b, 1 / b)
}

/** Mean and effective sample size of a weight from those of its sigmoid. */
export function afterLift(figures: { edr: number; ess: number }, { a, b }: Lift) {
  return lifted(figures, a, b)
}

function lifted({ edr, ess }: { edr: number; ess: number }, a: number, b: number) {
  if (a === 0) return { edr, ess }
  const mean = a + b * edr
  const variance = (b * edr) ** 2 * (1 / ess - 1)
  return { edr: mean, ess: mean ** 2 / (mean ** 2 + variance) }
}
