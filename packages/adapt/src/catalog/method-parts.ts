import { ConfigError } from '../errors.js'
import type { Apply, Needs, Unit } from '../method/contract.js'
import type {
  AnyGateDefinition,
  AnySignalDefinition,
  MethodCost,
  MethodDefinition,
  RunShape,
} from '../method/define-method.js'
import { forwardFlops, trainingFlops } from '../method/flops.js'
import { needsScoringForward } from '../method/index.js'
import type { MethodConfig, PartConfig } from '../method/method-config.js'
import { toCamelCase, toSnakeCase } from '../method/option-names.js'
import { partOf, scoredShare } from '../method/scored-share.js'
import { findMethod, GATES, SIGNALS } from './registry.js'

type Options = Readonly<Record<string, unknown>>

/** What a resolved method is made of, and what follows from it. */
export interface MethodParts {
  readonly definition: MethodDefinition
  readonly signal: AnySignalDefinition
  readonly gate: AnyGateDefinition
  /** In camelCase. */
  readonly signalOptions: Options
  readonly gateOptions: Options
  readonly unit: Unit
  readonly apply: Apply
  /** What its gate sees of a step; both controls see all of it. */
  readonly view: 'batch' | 'step'
  /** Of the signal and the gate together. */
  readonly needs: Needs
  /** Steps at the start in which nothing is scored. */
  readonly firstScored: number
  /** Rows drawn for each row that is trained, >= 1. */
  readonly candidates: number
  /** About the share of the pool that may be trained on, where a selection before training leaves the rest out; else 1. */
  readonly keptShare: number
  /** Its scores are made before training and looked up while training. */
  readonly isStored: boolean
  /** Parts that the code of the run brings: their needs and costs are known to the run alone. */
  readonly byCode: readonly ('signal' | 'gate')[]
}

/** @throws {ConfigError} UNKNOWN_PRESET for a method that is not of the list. */
export function partsOf(config: MethodConfig): MethodParts {
  const definition = findMethod(config.preset)
  const signal = SIGNALS.get(config.signal.kind)
  const gate = GATES.get(config.gate.kind)
  if (definition === undefined || signal === undefined || gate === undefined) {
    const received = `${config.preset} of ${config.signal.kind} and ${config.gate.kind}`
    throw new ConfigError('UNKNOWN_PRESET', `method: expected a method of the list, received ${received}`)
  }
  const signalOptions = optionsOf(config.signal)
  const gateOptions = optionsOf(config.gate)
  const isStored = signal.prepare !== undefined && signal.create === undefined
  const isControl = config.shuffle === true || config.collapse !== undefined
  const drawn = gate.candidates?.(gateOptions) ?? 1
  return {
    definition,
    signal,
    gate,
    signalOptions,
    gateOptions,
    unit: signal.unit,
    apply: config.apply,
    view: isControl ? 'step' : gate.view,
    needs: mergeNeeds(signal.needs(signalOptions), gate.needs?.(gateOptions) ?? {}),
    firstScored: gate.firstScored?.(gateOptions) ?? 0,
    candidates: config.apply === 'mask' && !isStored ? drawn : 1,
    keptShare: config.apply === 'mask' && isStored ? 1 / drawn : 1,
    isStored,
    byCode: [...(signal.byCode ? (['signal'] as const) : []), ...(gate.byCode ? (['gate'] as const) : [])],
  }
}

/** What a method needs before it can score. */
export function needsOf(config: MethodConfig): Needs {
  return partsOf(config).needs
}

/**
 * What of a method the data that is read is a function of, as JSON; undefined where all of it is read in the order that the config draws up.
 * A draw that is steered while training is no part of it.
 */
export function decidesData(config: MethodConfig): string | undefined {
  const { signal, signalOptions, apply, isStored, gate, gateOptions } = partsOf(config)
  const isSelection = apply === 'mask' && isStored
  const mayLeaveOut =
    signal.scoresPart === 'rest is left out' &&
    signalOptions.scored !== 1 &&
    signal.prepares?.(signalOptions) !== false
  if (!isSelection && !mayLeaveOut && !signal.decidesData?.(signalOptions)) return undefined
  const prepared = [signal.preparedAs ?? signal.kind, signalOptions]
  return JSON.stringify([...prepared, ...(isSelection ? [gate.kind, gateOptions] : [])])
}

/** A folder of a model that a method reads beside the one that is trained: the option that names it, and its key in a config. */
export interface ModelRead {
  readonly option: string
  readonly key: string
  readonly path: string
}

/** Folders of models that a method reads beside the one that is trained. */
export function modelsRead(config: MethodConfig): readonly ModelRead[] {
  const { signal, signalOptions } = partsOf(config)
  return Object.entries(signal.readsModels?.(signalOptions) ?? {}).map(([option, path]) => ({
    option,
    key: `method.signal.${toSnakeCase(option)}`,
    path,
  }))
}

/** FLOPs beside those of training, without a scoring forward of a step. */
export function costOf(config: MethodConfig, shape: RunShape): MethodCost {
  const parts = partsOf(config)
  const { signal, signalOptions, firstScored } = parts
  const seen = partOf(shape, scoredShare(signal, signalOptions, shape))
  const cost = signal.cost?.(signalOptions, {
    ...seen,
    firstScored: Math.min(firstScored, shape.steps),
  }) ?? {
    preparation: 0,
    signal: 0,
  }
  return { ...cost, signal: cost.signal + poolFlops(parts, shape) }
}

/** FLOPs of scoring the pool between steps. */
function poolFlops({ gate, gateOptions, needs, isStored }: MethodParts, shape: RunShape): number {
  if (isStored || gate.poolPasses === undefined) return 0
  const tokens = gate.poolPasses(gateOptions, shape) * shape.tokensPerPass
  return (needs.factors ? trainingFlops : forwardFlops)(shape.params, tokens)
}

/**
 * FLOPs of the forwards that score a run, and of their backwards where gradients of single samples are asked for.
 * @param run.tokens  That are trained.
 * @param run.microBatches  Of a step, on each rank.
 * @param run.tokensPerSample  On average; default: short. Where a method looks at a part of each sample, the cost is then an upper bound.
 */
export function scoringFlops(
  parts: MethodParts,
  run: {
    readonly params: number
    readonly tokens: number
    readonly microBatches: number
    readonly tokensPerSample?: number
  },
): number {
  const seen = Math.min(1, (parts.needs.window ?? Infinity) / (run.tokensPerSample ?? 0))
  const scored = run.tokens * scoredPerTrained(parts, run.microBatches) * seen
  return parts.needs.factors ? trainingFlops(run.params, scored) : forwardFlops(run.params, scored)
}

/** Tokens that have a scoring forward of their own for each token that is trained. */
function scoredPerTrained(parts: MethodParts, microBatches: number): number {
  if (parts.apply === 'loss') return needsScoringForward(parts, microBatches) ? 1 : 0
  return parts.apply === 'mask' && !parts.isStored ? parts.candidates : 0
}

/** What two parts need together. */
export function mergeNeeds(a: Needs, b: Needs): Needs {
  const sources = Math.max(a.sources ?? 0, b.sources ?? 0)
  const window = Math.min(a.window ?? Infinity, b.window ?? Infinity)
  const wanted = [a, b].flatMap((needs) => Object.entries(needs).filter(([, value]) => value === true))
  return {
    ...(Object.fromEntries(wanted) as Needs),
    ...(sources > 0 ? { sources } : {}),
    ...(window < Infinity ? { window } : {}),
  }
}

function optionsOf({ kind: _, ...options }: PartConfig): Options {
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [toCamelCase(key), value]))
}
