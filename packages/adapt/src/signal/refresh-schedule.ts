/** All at fixed times, all when a probe has moved, or a few every step. */
export const REFRESH_KINDS = ['interval', 'adaptive', 'rolling'] as const
/** One of {@link REFRESH_KINDS}. */
export type RefreshKind = (typeof REFRESH_KINDS)[number]

/** Why the anchors were embedded again. */
export type RefreshReason = 'start' | 'interval' | 'drift' | 'rolling'

/** What an interval counts from: the last refresh, or the start of the run. */
export const REFRESH_ORIGINS = ['last', 'start'] as const
/** One of {@link REFRESH_ORIGINS}. */
export type RefreshOrigin = (typeof REFRESH_ORIGINS)[number]

/** When the anchors are embedded again, in optimiser steps. */
export interface RefreshOptions {
  readonly refresh: RefreshKind
  /** interval: `start` refreshes in the steps that `refreshEvery` divides. */
  readonly refreshFrom: RefreshOrigin
  /** interval: steps between two refreshes; rolling: steps of one round through all anchors. */
  readonly refreshEvery: number
  /** adaptive: steps between two probes. */
  readonly probeEvery: number
  /** adaptive: 1 - cos of the probe above which all anchors are embedded again. */
  readonly drift: number
  /** adaptive: fewest and most steps between two refreshes. */
  readonly refreshMin: number
  readonly refreshMax: number
}

/** What the anchors need before a step. */
export type Upkeep =
  | { readonly kind: 'none' }
  | { readonly kind: 'all'; readonly reason: RefreshReason }
  /** A few fixed anchors tell whether the model has moved on. */
  | { readonly kind: 'probe' }
  /** Anchors `start` to `end` - 1; the last part of a round ends it. */
  | { readonly kind: 'part'; readonly start: number; readonly end: number; readonly endsRound: boolean }

/**
 * What is due `sinceLast` optimiser steps after the last refresh (or the last round of a rolling one), undefined
 * before the first, in step `step` of the run (from 0). A function of its arguments alone, so that a resumed run does what the first would have done.
 */
export function upkeepDue(
  options: RefreshOptions,
  { sinceLast, step }: { readonly sinceLast: number | undefined; readonly step: number },
  numAnchors: number,
): Upkeep {
  const none = { kind: 'none' } as const
  if (sinceLast === undefined) return { kind: 'all', reason: 'start' }
  switch (options.refresh) {
    case 'interval': {
      const { refreshEvery, refreshFrom } = options
      const isDue = refreshFrom === 'start' ? step % refreshEvery === 0 : sinceLast >= refreshEvery
      return isDue ? { kind: 'all', reason: 'interval' } : none
    }
    case 'adaptive':
      if (sinceLast >= options.refreshMax) return { kind: 'all', reason: 'interval' }
      return sinceLast >= options.refreshMin && sinceLast % options.probeEvery === 0
        ? { kind: 'probe' }
        : none
    case 'rolling': {
      // Evenly spread: after k of R steps V k / R anchors are done.
      const doneAfter = (steps: number) =>
        Math.floor((numAnchors * Math.min(steps, options.refreshEvery)) / options.refreshEvery)
      const endsRound = sinceLast >= options.refreshEvery
      return { kind: 'part', start: doneAfter(sinceLast - 1), end: doneAfter(sinceLast), endsRound }
    }
  }
}

/** Places of the probe: at most 16 anchors, evenly spread over all (and so over their lengths). */
export function probePlaces(numAnchors: number): number[] {
  const size = Math.min(16, numAnchors)
  return Array.from({ length: size }, (_, i) => Math.floor(((i + 0.5) * numAnchors) / size))
}
