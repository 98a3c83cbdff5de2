import type { Normalizer } from '../loss/normalizer.js'
import { needsScoringForward } from '../method/apply-loss.js'

/** Ids of the built-in compositions of signal and gate. */
export const METHOD_PRESETS = ['uniform', 'adapt', 'adapt-paper', 'adapt-calibrated', 'twin'] as const
/** Id of a built-in method. */
export type MethodPreset = (typeof METHOD_PRESETS)[number]

/** A signal or gate that code gives to the run by name: see `CustomParts`. */
export interface CustomPartConfig {
  readonly kind: 'custom'
  readonly name: string
  /** What its factory is told; plain data, which a run that goes on must have again. */
  readonly options: Readonly<Record<string, unknown>>
}

/** A signal with every option: what is measured for each sample. */
export type SignalConfig =
  | { readonly kind: 'constant' }
  | { readonly kind: 'random' }
  | CustomPartConfig
  | {
      readonly kind: 'source'
      /** Score by name of the source. */
      readonly table: Readonly<Record<string, number>>
      /** Score of the other sources. */
      readonly default: number
    }
  | {
      readonly kind: 'model-embedding'
      readonly pooling: 'position_weighted' | 'mean' | 'last'
      readonly tokens: 'all' | 'response_only'
      readonly refresh: 'interval' | 'adaptive' | 'rolling'
      /** Optimiser steps, >= 1, or once per epoch. */
      readonly refresh_every: number | 'epoch'
      /** adaptive: optimiser steps between two probes, >= 1. */
      readonly probe_every: number
      /** adaptive: 1 - cos of the probe, > 0. */
      readonly drift: number
      /** adaptive: bounds of the steps between two refreshes. */
      readonly refresh_min: number
      readonly refresh_max: number
      readonly aggregate: 'micro' | 'macro' | 'max' | 'lse' | 'zmax'
      readonly lse_beta: number
      readonly center: boolean
      /** Share of the new centroid at a refresh, in (0, 1]. */
      readonly centroid_ema: number
      readonly score_eval: boolean
    }

/** A gate with every option: how a score becomes a weight. */
export type GateConfig =
  | { readonly kind: 'identity' }
  | { readonly kind: 'linear'; readonly offset: number; readonly slope: number }
  | { readonly kind: 'sigmoid'; readonly temperature: number; readonly w_min: number; readonly w_max: number }
  | { readonly kind: 'softmax'; readonly temperature: number }
  | CustomPartConfig
  | {
      readonly kind: 'calibrated-sigmoid'
      /** Target effective sample size as a share, in (edr, 1]. */
      readonly ess: number
      /** Target mean weight, in (0, ess). */
      readonly edr: number
      readonly update_every: number
      readonly warmup_ratio: number
    }

/** A method with every option of its signal and gate filled in. */
export interface MethodConfig {
  readonly preset: MethodPreset
  readonly signal: SignalConfig
  readonly gate: GateConfig
  readonly apply: 'loss'
  /** Control: the weights of every step are dealt out anew among its samples. */
  readonly shuffle?: true
  /** Control: every sample gets the mean weight of its source. */
  readonly collapse?: 'source'
  /** Absent: chosen from the data by {@link resolveNormalizer}. */
  readonly normalizer?: Normalizer
}

/** A method as a user writes it: any part may be missing. */
export interface MethodInput {
  readonly preset?: MethodPreset
  readonly signal?: Readonly<Record<string, unknown>> & { readonly kind?: SignalConfig['kind'] }
  readonly gate?: Readonly<Record<string, unknown>> & { readonly kind?: GateConfig['kind'] }
  readonly apply?: 'loss'
  readonly shuffle?: boolean
  readonly collapse?: 'source'
  readonly normalizer?: Normalizer
}

// Defaults per kind. The constants are those of the paper where it gives them (temperature 1), else measured ones.
const CUSTOM: CustomPartConfig = { kind: 'custom', name: '', options: {} }

const SIGNALS: { readonly [K in SignalConfig['kind']]: Extract<SignalConfig, { kind: K }> } = {
  constant: { kind: 'constant' },
  random: { kind: 'random' },
  source: { kind: 'source', table: {}, default: 1 },
  custom: CUSTOM,
  'model-embedding': {
    kind: 'model-embedding',
    pooling: 'position_weighted',
    tokens: 'all',
    refresh: 'interval',
    refresh_every: 50,
    probe_every: 25,
    drift: 0.01,
    refresh_min: 25,
    refresh_max: 1000,
    aggregate: 'micro',
    lse_beta: 10,
    center: false,
    centroid_ema: 1,
    score_eval: false,
  },
}

const GATES: { readonly [K in GateConfig['kind']]: Extract<GateConfig, { kind: K }> } = {
  identity: { kind: 'identity' },
  linear: { kind: 'linear', offset: 1, slope: 1 },
  sigmoid: { kind: 'sigmoid', temperature: 1, w_min: 0, w_max: 1 },
  softmax: { kind: 'softmax', temperature: 1 },
  custom: CUSTOM,
  'calibrated-sigmoid': {
    kind: 'calibrated-sigmoid',
    ess: 0.95,
    edr: 0.5,
    update_every: 50,
    warmup_ratio: 0.1,
  },
}

const PRESETS: Readonly<Record<MethodPreset, { readonly signal: SignalConfig; readonly gate: GateConfig }>> =
  {
    uniform: { signal: SIGNALS.constant, gate: GATES.identity },
    adapt: { signal: SIGNALS['model-embedding'], gate: GATES.sigmoid },
    'adapt-paper': { signal: SIGNALS['model-embedding'], gate: GATES.sigmoid },
    'adapt-calibrated': {
      signal: { ...SIGNALS['model-embedding'], center: true },
      gate: GATES['calibrated-sigmoid'],
    },
    // The uniform run but for a disturbance that means nothing: the least difference that two runs can have.
    twin: { signal: SIGNALS.random, gate: { ...GATES.linear, slope: 1e-6 } as GateConfig },
  }

/**
 * Fills in a method: the preset's values (default preset `adapt`), or the kind's own defaults when the user
 * names another kind, then the user's keys. A key that the kind does not have is reported.
 */
export function resolveMethod(
  input: MethodInput,
  report: (path: readonly string[], message: string) => void,
): MethodConfig {
  const preset = input.preset ?? 'adapt'
  const signal = fill('signal', PRESETS[preset].signal, SIGNALS, input.signal, report)
  let gate = fill('gate', PRESETS[preset].gate, GATES, input.gate, report)
  if (gate.kind === 'calibrated-sigmoid' && input.gate?.edr === undefined) {
    // w^2 <= w on [0, 1], so a mean weight at or above the target ESS cannot be reached.
    gate = { ...gate, edr: Math.min(0.5, 0.6 * gate.ess) }
  }
  return {
    preset,
    signal,
    gate,
    apply: 'loss',
    ...(input.shuffle === true ? { shuffle: true } : {}),
    ...(input.collapse === undefined ? {} : { collapse: input.collapse }),
    ...(input.normalizer === undefined ? {} : { normalizer: input.normalizer }),
  }
}

function fill<T extends { readonly kind: string }>(
  part: 'signal' | 'gate',
  base: T,
  defaults: Readonly<Record<string, T>>,
  input: Readonly<Record<string, unknown>> | undefined,
  report: (path: readonly string[], message: string) => void,
): T {
  if (input === undefined) return base
  const kind = typeof input.kind === 'string' ? input.kind : base.kind
  const start = kind === base.kind ? base : defaults[kind]!
  const keys = Object.keys(start).filter((key) => key !== 'kind')
  for (const key of Object.keys(input)) {
    if (key in start) continue
    const known = keys.length === 0 ? 'it has none' : keys.join(', ')
    report([part, key], `expected an option of ${part} kind "${kind}" (${known}), received "${key}"`)
  }
  if (kind === 'custom' && !input.name)
    report([part, 'name'], `expected the name of a ${part} that the code of the run brings, received none`)
  return { ...start, ...input, kind } as T
}

/** The part of a method that only code can make, if there is one. */
export function customPart({ signal, gate }: MethodConfig): 'signal' | 'gate' | undefined {
  if (signal.kind === 'custom') return 'signal'
  return gate.kind === 'custom' ? 'gate' : undefined
}

/** True when the method compares samples with anchors. */
export function needsAnchors(method: MethodConfig): boolean {
  return method.signal.kind === 'model-embedding'
}

/**
 * Whether a step scores its samples by a forward of their own before it trains on them; a custom part alone knows it of itself.
 * @param microBatches  Of a step, on each rank.
 */
export function scoresApart(
  { signal, gate, shuffle, collapse }: MethodConfig,
  microBatches: number,
): boolean {
  const weighsStep = gate.kind === 'softmax' || shuffle === true || collapse !== undefined
  const ownForward = signal.kind === 'model-embedding' && signal.score_eval
  return needsScoringForward({ view: weighsStep ? 'step' : 'batch', needs: { ownForward } }, microBatches)
}

/**
 * The normaliser of the weighted loss: the method's own, else token forms when every training document is plain
 * text and sample forms otherwise; self-normalised (`wmean`), except that `adapt-paper` divides by the count.
 */
export function resolveNormalizer(method: MethodConfig, allPlainText: boolean): Normalizer {
  if (method.normalizer !== undefined) return method.normalizer
  const unit = allPlainText ? 'token' : 'sample'
  return method.preset === 'adapt-paper' ? `${unit}.mean` : `${unit}.wmean`
}
