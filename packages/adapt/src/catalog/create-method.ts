import { ConfigError } from '../errors.js'
import {
  CalibratedSigmoidGate,
  CollapsedGate,
  createIdentityGate,
  createLinearGate,
  createSigmoidGate,
  createSoftmaxGate,
  ShuffledGate,
} from '../gate/index.js'
import {
  type CamelCaseKeys,
  composeMethod,
  type Gate,
  type Method,
  NO_ARTEFACT,
  type RunFacts,
  type Signal,
  toSnakeCase,
} from '../method/index.js'
import {
  createConstantSignal,
  createRandomSignal,
  createSourceSignal,
  ModelEmbeddingSignal,
} from '../signal/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import {
  type CustomPartConfig,
  type GateConfig,
  METHOD_PRESETS,
  type MethodConfig,
  type MethodInput,
  type MethodPreset,
  resolveMethod,
  resolveNormalizer,
  type SignalConfig,
} from './method-config.js'

/** What a method's defaults depend on. */
export interface MethodContext {
  /** Optimiser steps of the run; the warm-up of a calibrated gate is a share of them. */
  readonly totalSteps: number
  /** Steps between two refreshes "once per epoch". */
  readonly stepsPerEpoch: number
  /** Whether every training record is plain text (else prompts are masked). */
  readonly isPlainText: boolean
  /** Seed of what a method draws at random. Default 0. */
  readonly seed?: number
  /** The training data, for methods that look at sources or lengths. */
  readonly dataset?: Pick<TokenDataset, 'numSamples' | 'sources' | 'sourceIndex' | 'length'>
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

type Factory<Config, Made> = (config: Config, context: MethodContext) => Made
type Registry<Config extends { kind: string }, Made> = {
  readonly [K in Config['kind']]: Factory<Extract<Config, { kind: K }>, Made>
}

/** Every signal there is, by its config kind. */
const SIGNALS: Registry<SignalConfig, Signal> = {
  constant: () => createConstantSignal(),
  random: (_, { seed = 0 }) => createRandomSignal({ seed }),
  custom: (config, context) => customPartOf('signal', config, context.signals, context),
  source: ({ table, default: fallback }, { dataset }) =>
    createSourceSignal({ table, default: fallback, ...(dataset ? { sources: dataset.sources } : {}) }),
  'model-embedding': (config, { stepsPerEpoch }) =>
    new ModelEmbeddingSignal({
      pooling: config.pooling,
      tokens: config.tokens,
      refresh: config.refresh,
      refreshEvery: config.refresh_every === 'epoch' ? Math.max(1, stepsPerEpoch) : config.refresh_every,
      probeEvery: config.probe_every,
      drift: config.drift,
      refreshMin: config.refresh_min,
      refreshMax: config.refresh_max,
      aggregate: config.aggregate,
      lseBeta: config.lse_beta,
      center: config.center,
      centroidEma: config.centroid_ema,
      scoreEval: config.score_eval,
    }),
}

/** Every gate there is, by its config kind. */
const GATES: Registry<GateConfig, Gate> = {
  identity: () => createIdentityGate(),
  linear: ({ offset, slope }) => createLinearGate({ offset, slope }),
  sigmoid: ({ temperature, w_min, w_max }) => createSigmoidGate({ temperature, wMin: w_min, wMax: w_max }),
  softmax: ({ temperature }) => createSoftmaxGate({ temperature }),
  custom: (config, context) => customPartOf('gate', config, context.gates, context),
  'calibrated-sigmoid': ({ ess, edr, update_every, warmup_ratio }, { totalSteps }) =>
    new CalibratedSigmoidGate({
      ess,
      edr,
      updateEvery: update_every,
      warmupSteps: Math.min(200, Math.round(warmup_ratio * totalSteps)),
    }),
}

function customPartOf<Part extends object>(
  part: 'signal' | 'gate',
  { name, options }: CustomPartConfig,
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

/** Builds a gate from its resolved config. */
export function createGate(config: GateConfig, context: MethodContext): Gate {
  return (GATES[config.kind] as Factory<GateConfig, Gate>)(config, context)
}

type PartOptions<Part> = Part extends { readonly kind: string } ? Partial<CamelCaseKeys<Part>> : Part

/** A method as code writes it: the keys of a config's `method` in camelCase, any of which may be missing. */
export type MethodOptions = {
  readonly [Key in keyof MethodConfig]?: PartOptions<NonNullable<MethodConfig[Key]>>
}

/**
 * Builds a method: a preset, a preset with changes, or a composition of signal and gate.
 *
 * @param method  A preset's name, options in camelCase, or the `method` of a checked config.
 * @param context  What defaults depend on. Default: a run without a known end, in one epoch, on plain text.
 * @returns The method; it holds no tensors yet. A `Trainer` that gets it frees what it will hold.
 * @throws {ConfigError} UNKNOWN_PRESET; UNKNOWN_OPTION for an option that the kind of signal or gate does not have.
 * @example
 * const method = createMethod({ preset: 'adapt', signal: { refreshEvery: 10 }, gate: { temperature: 0.5 } })
 */
export function createMethod(
  method: MethodPreset | MethodOptions | MethodConfig,
  context: Partial<MethodContext> = {},
): Method {
  const known = { totalSteps: Infinity, stepsPerEpoch: Infinity, isPlainText: true, ...context }
  return assemble(toMethodConfig(method), known)
}

/** Fills in what is missing; a config that is whole comes back as it is. */
function toMethodConfig(method: MethodPreset | MethodOptions | MethodConfig): MethodConfig {
  const { signal, gate, ...rest } = typeof method === 'string' ? { preset: method } : (method as MethodInput)
  if (rest.preset !== undefined && !METHOD_PRESETS.includes(rest.preset)) {
    throw new ConfigError(
      'UNKNOWN_PRESET',
      `method: expected one of ${METHOD_PRESETS.join(', ')}, received "${rest.preset}"`,
    )
  }
  const parts = { ...(signal ? { signal: fileKeys(signal) } : {}), ...(gate ? { gate: fileKeys(gate) } : {}) }
  return resolveMethod({ ...rest, ...parts }, (path, message) => {
    throw new ConfigError('UNKNOWN_OPTION', `method.${path.join('.')}: ${message}`)
  })
}

function fileKeys(part: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [toSnakeCase(key), value]))
}

function assemble(config: MethodConfig, context: MethodContext): Method {
  const makeSignal = SIGNALS[config.signal.kind] as Factory<SignalConfig, Signal>
  const signal = makeSignal(config.signal, context)
  const gate = controlGate(createGate(config.gate, context), config, context)
  return composeMethod({
    id: config.preset,
    signal,
    gate,
    unit: 'sample',
    view: gate.view ?? 'batch',
    interactions: false,
    needs: signal.needs ?? {},
    apply: config.apply,
    normalizer: resolveNormalizer(config, context.isPlainText),
    candidates: 1,
    isStored: false,
    artefact: NO_ARTEFACT,
    facts: factsOf(context),
  })
}

/** What the parts of a method may know of the run. */
function factsOf({ totalSteps, stepsPerEpoch, isPlainText, seed = 0, dataset }: MethodContext): RunFacts {
  return { totalSteps, stepsPerEpoch, isPlainText, seed, ...(dataset ? { data: dataFacts(dataset) } : {}) }
}

function dataFacts(dataset: NonNullable<MethodContext['dataset']>): NonNullable<RunFacts['data']> {
  const { sources, numSamples } = dataset
  return {
    sources,
    sourceIndex: (index) => dataset.sourceIndex(index),
    length: (index) => dataset.length(index),
    naturalShares() {
      const tokens = new Float64Array(sources.length)
      for (let i = 0; i < numSamples; i++) tokens[dataset.sourceIndex(i)]! += dataset.length(i)
      const total = tokens.reduce((sum, count) => sum + count, 0)
      return tokens.map((count) => count / total)
    },
  }
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
