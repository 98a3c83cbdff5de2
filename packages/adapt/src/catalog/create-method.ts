import { type Mixing, planMixing } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { CollapsedGate, ShuffledGate } from '../gate/index.js'
import {
  type Artefact,
  composeMethod,
  type Gate,
  type Method,
  NO_ARTEFACT,
  type RunFacts,
  type Signal,
  toSnakeCase,
} from '../method/index.js'
import { suggestName } from '../method/nearest-name.js'
import { createStoredSignal } from '../signal/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import { checkMethod } from './check-method.js'
import type { MethodConfig, MethodInput, MethodOptions } from './method-config.js'
import { type MethodParts, mergeNeeds, partsOf } from './method-parts.js'
import { METHOD_IDS, type MethodId } from './registry.js'
import { resolveMethod, resolveNormalizer } from './resolve-method.js'

/** What a method's defaults depend on. */
export interface MethodContext {
  /** Optimiser steps of the run; the warm-up of a calibrated gate is a share of them. */
  readonly totalSteps: number
  /** Steps between two refreshes "once per epoch". */
  readonly stepsPerEpoch: number
  /** How often the run reads the training data. Default: not known. */
  readonly passes?: number
  /** Whether every training record is plain text (else prompts are masked). */
  readonly isPlainText: boolean
  /** Seed of what a method draws at random. Default 0. */
  readonly seed?: number
  /** The training data, for methods that look at sources or lengths. */
  readonly dataset?: Pick<TokenDataset, 'numSamples' | 'sources' | 'sourceIndex' | 'length'>
  /** How a step is cut. */
  readonly layout?: RunFacts['layout']
  /** How the order of the data mixes its sources. Default: natural. */
  readonly mixing?: Mixing
  /** What the method's preparation left. Default: nothing. */
  readonly artefact?: Artefact
  /** Signals and gates of kind `custom`, by name. */
  readonly signals?: CustomParts<Signal>
  readonly gates?: CustomParts<Gate>
}

/** Makes a part of a method from the `options` of its config. */
export type PartFactory<Part> = (options: Readonly<Record<string, unknown>>, context: MethodContext) => Part

/**
 * Signals or gates of your own by the name that a config gives them (`{ kind: 'custom', name }`): the part itself, or what makes it. One that
 * keeps state over steps must be made anew for each run.
 */
export type CustomParts<Part extends object> = Readonly<Record<string, Part | PartFactory<Part>>>

/** A part that the code of the run brings under a name. */
function partByCode<Part extends object>(
  part: 'signal' | 'gate',
  { name, options }: { readonly name: string; readonly options: Readonly<Record<string, unknown>> },
  parts: CustomParts<Part> | undefined,
  context: MethodContext,
): Part {
  const found = parts !== undefined && Object.hasOwn(parts, name) ? parts[name] : undefined
  if (found !== undefined) return typeof found === 'function' ? found(options, context) : found
  const known = Object.keys(parts ?? {})
  const received = known.length === 0 ? 'none' : known.join(', ')
  throw new ConfigError(
    'NEEDS_CODE',
    `method.${part}.name: expected a ${part} called "${name}" from the code of the run, received ${received}; give it to train(options, { ${part}s })`,
  )
}

/** Builds the gate of a resolved method, without its controls. */
export function createGate(config: MethodConfig, context: MethodContext): Gate {
  const { gate, gateOptions } = partsOf(config)
  if (gate.byCode) return partByCode('gate', gateOptions as never, context.gates, context)
  return gate.create(gateOptions, runFactsOf(context))
}

/** Builds the signal of a method's parts. */
export function createSignal({ signal, signalOptions }: MethodParts, context: MethodContext): Signal {
  if (signal.byCode) return partByCode('signal', signalOptions as never, context.signals, context)
  const { artefact = NO_ARTEFACT } = context
  const facts = runFactsOf(context)
  const isOutdated = signal.rescores?.(signalOptions) !== undefined
  return (
    signal.create?.(signalOptions, facts, artefact) ??
    createStoredSignal(artefact, isOutdated ? signal.rescoring?.(signalOptions, facts, artefact) : undefined)
  )
}

/** What the parts of a method may know of the run. */
export function runFactsOf({
  totalSteps,
  stepsPerEpoch,
  passes,
  isPlainText,
  seed = 0,
  dataset,
  mixing = 'natural',
  layout,
}: MethodContext): RunFacts {
  const known = { totalSteps, stepsPerEpoch, isPlainText, seed, ...(layout ? { layout } : {}) }
  return {
    ...known,
    ...(passes === undefined ? {} : { passes }),
    ...(dataset ? { data: dataFacts(dataset, mixing) } : {}),
  }
}

function dataFacts(
  dataset: NonNullable<MethodContext['dataset']>,
  mixing: Mixing,
): NonNullable<RunFacts['data']> {
  const { numSamples, sources } = dataset
  return {
    numSamples,
    sources,
    sourceIndex: (index) => dataset.sourceIndex(index),
    length: (index) => dataset.length(index),
    drawShares: () => Float64Array.from(planMixing(dataset, mixing), ({ share }) => share),
  }
}

/**
 * Builds a method: a preset, a preset with changes, or a composition of signal and gate.
 *
 * @param method  A preset's name, options in camelCase, or the `method` of a checked config.
 * @param context  What defaults depend on. Default: a run without a known end, in one epoch, on plain text.
 * @returns The method; it holds no tensors yet. A `Trainer` that gets it frees what it will hold.
 * @throws {ConfigError} UNKNOWN_PRESET; UNKNOWN_OPTION for an option that the kind of signal or gate does not have; OUT_OF_RANGE for a value
 *   that an option cannot have, or parts that do not fit together.
 * @example
 * const method = createMethod({ preset: 'adapt', signal: { refreshEvery: 10 }, gate: { temperature: 0.5 } })
 */
export function createMethod(
  method: MethodId | MethodOptions | MethodConfig,
  context: Partial<MethodContext> = {},
): Method {
  const known = { totalSteps: Infinity, stepsPerEpoch: Infinity, isPlainText: true, ...context }
  const config = toMethodConfig(method)
  for (const { path, message } of checkMethod(config)) {
    throw new ConfigError('OUT_OF_RANGE', `method.${path.join('.')}: ${message}`)
  }
  const parts = partsOf(config)
  const signal = createSignal(parts, known)
  const gate = controlGate(createGate(config, known), config, known)
  return composeMethod({
    id: config.preset,
    signal,
    gate,
    unit: parts.unit,
    view: gate.view ?? parts.view,
    interactions: parts.gate.interactions === true,
    needs: parts.signal.byCode ? mergeNeeds(parts.needs, signal.needs ?? {}) : parts.needs,
    apply: parts.apply,
    normalizer: resolveNormalizer(config, known.isPlainText),
    firstScored: parts.firstScored,
    candidates: parts.candidates,
    isStored: parts.isStored,
    artefact: known.artefact ?? NO_ARTEFACT,
    facts: runFactsOf(known),
  })
}

/** Fills in what is missing; a config that is whole comes back as it is. */
function toMethodConfig(method: MethodId | MethodOptions | MethodConfig): MethodConfig {
  const { signal, gate, ...rest } = typeof method === 'string' ? { preset: method } : (method as MethodInput)
  if (rest.preset !== undefined && !METHOD_IDS.includes(rest.preset)) {
    const hint = suggestName(String(rest.preset), METHOD_IDS)
    throw new ConfigError(
      'UNKNOWN_PRESET',
      `method: expected one of ${METHOD_IDS.join(', ')}, received "${rest.preset}"${hint}`,
    )
  }
  const parts = { ...(signal ? { signal: fileKeys(signal) } : {}), ...(gate ? { gate: fileKeys(gate) } : {}) }
  return resolveMethod({ ...rest, ...parts }, (path, message, what) => {
    const code = what === 'key' ? 'UNKNOWN_OPTION' : 'OUT_OF_RANGE'
    throw new ConfigError(code, `method.${path.join('.')}: ${message}`)
  })
}

function fileKeys(part: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [toSnakeCase(key), value]))
}

/** The gate, or a control around it that takes its aim away. */
function controlGate(gate: Gate, { shuffle, collapse }: MethodConfig, context: MethodContext): Gate {
  if (shuffle === undefined && collapse === undefined) return gate
  const { dataset, seed = 0 } = context
  if (!dataset) {
    const key = shuffle ? 'shuffle' : 'collapse'
    throw new ConfigError(
      'NEEDS_DATA',
      `method.${key}: expected the training data to be at hand, received none`,
    )
  }
  if (shuffle) return new ShuffledGate(gate, { seed, length: (index) => dataset.length(index) })
  return new CollapsedGate(gate, {
    sourceIndex: (index) => dataset.sourceIndex(index),
    numSources: dataset.sources.length,
  })
}
