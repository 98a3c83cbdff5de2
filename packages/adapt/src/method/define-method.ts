import type { Normalizer } from '../loss/index.js'
import type { Apply, Gate, Needs, Rescoring, RunFacts, Signal, Unit } from './contract.js'
import type { OptionsOf, OptionTable } from './option-table.js'
import type { Artefact, PreparationTools } from './preparation.js'

/** What a run is, for counting FLOPs. Tokens are those that are computed, padding included. */
export interface RunShape {
  /** N: all parameters. */
  readonly params: number
  /** Those that are trained. */
  readonly trainable: number
  /** Whether only adapters are trained, which saves the gradients of what is under them. Default false. */
  readonly frozenBase?: boolean
  /** Whether activations are computed again in the backward, which is one forward more. Default false. */
  readonly recompute?: boolean
  /** Most tokens that the model has positions for. Default: no limit. */
  readonly positions?: number
  /** Trained by the whole run. */
  readonly tokens: number
  readonly steps: number
  readonly stepsPerEpoch: number
  /** Steps at the start that have no score. Default 0. */
  readonly firstScored?: number
  /** Of the training data: P samples of `tokensPerPass` tokens. */
  readonly samples: number
  readonly tokensPerPass: number
  /** How often the run would read the training data where nothing was left out of it. Default `tokens / tokensPerPass`. */
  readonly passes?: number
  /** V anchors of `tokensPerAnchor` tokens. */
  readonly anchors: number
  readonly tokensPerAnchor: number
  /** Parameters of the models that `readsModels` names, by option, where they can be read. */
  readonly paramsRead?: Readonly<Record<string, number>>
}

/** FLOPs beside those of training. */
export interface MethodCost {
  /** Before training. */
  readonly preparation: number
  /** While training; a scoring forward of the whole step is not in it, the planner knows it. */
  readonly signal: number
}

/** What is measured, with every option said once. */
export interface SignalDefinition<K extends string = string, T extends OptionTable = OptionTable> {
  readonly kind: K
  /** One line: what is measured. */
  readonly about: string
  readonly unit: Unit
  /** Whether it says how far its scores can be trusted. */
  readonly givesTrust?: true
  /** Whether it gives `interactions`. */
  readonly interactions?: true
  /** Brought by the code of a run under a name: what it needs and costs is known to the run alone. */
  readonly byCode?: true
  readonly options: T
  readonly needs: (options: OptionsOf<T>) => Needs
  /** What in the options is wrong beyond their ranges, by key in camelCase. */
  readonly check?: (options: OptionsOf<T>) => readonly OptionProblem[]
  /** `prepare` trains proxies, and is a function of how runs train. */
  readonly trainsProxies?: true
  /** Signals of one name share what they prepare where their options agree. Default: the kind. */
  readonly preparedAs?: string
  /**
   * Whether its option `scored` (`SCORED`) says how much of the pool `prepare` looks at, and what becomes of the rest: it is left out of
   * training, or the signal gives it scores of its own.
   */
  readonly scoresPart?: 'rest is left out' | 'rest has scores'
  /** Options that `create` or `rescoring` alone read: what is prepared does not depend on them. */
  readonly scoreOptions?: readonly string[]
  /** Folders of models that `prepare` reads, by the option that names each: what they hold is part of what it is a function of. */
  readonly readsModels?: (options: OptionsOf<T>) => Readonly<Record<string, string>>
  /** Whether what `prepare` leaves decides which samples are read, or how often: it leaves some out or shares them out among the sources. */
  readonly decidesData?: (options: OptionsOf<T>) => boolean
  /** Whether the options ask for `prepare` at all. Default: they do. */
  readonly prepares?: (options: OptionsOf<T>) => boolean
  /**
   * Several ranks gain nothing where they run `prepare` together: it asks the tools for nothing that they share out. Rank 0 runs it then. Otherwise all do,
   * and it asks the tools for the same on each of them.
   */
  readonly preparesAlone?: true
  /** Once before training. A signal with `prepare` alone scores by what it left and has no `create`. */
  readonly prepare?: (options: OptionsOf<T>, tools: PreparationTools) => Promise<Artefact>
  readonly create?: (options: OptionsOf<T>, facts: RunFacts, artefact: Artefact) => Signal
  /** Whether scores of before training are made anew while training, by `rescoring`, and which option asks for that. */
  readonly rescores?: (options: OptionsOf<T>) => string | undefined
  readonly rescoring?: (options: OptionsOf<T>, facts: RunFacts, artefact: Artefact) => Rescoring
  /** Default: none. */
  readonly cost?: (options: OptionsOf<T>, shape: RunShape) => MethodCost
}

/** An option that cannot be what it is. */
export interface OptionProblem {
  readonly key: string
  /** "expected ..., received ...". */
  readonly message: string
}

/** How a score becomes a weight, with every option said once. */
export interface GateDefinition<K extends string = string, T extends OptionTable = OptionTable> {
  readonly kind: K
  /** One line: how a score becomes a weight. */
  readonly about: string
  readonly units: readonly Unit[]
  /** What its weights are good for. */
  readonly applies: readonly Apply[]
  /** apply `sample`: what is shared out by its weights, and so what a score is about. Required there. */
  readonly draws?: 'sources' | 'samples'
  /** Its weights do not change while training unless the scores do. */
  readonly isFixed?: true
  /** `batch`: one score and state that is frozen during the step. `step`: all scores of the step over all ranks. */
  readonly view: 'batch' | 'step'
  /** Whether it asks the signal for `interactions`. */
  readonly interactions?: true
  /** Brought by the code of a run under a name: its view is known to the run alone. */
  readonly byCode?: true
  readonly options: T
  /** What in the options is wrong beyond their ranges, by key in camelCase. */
  readonly check?: (options: OptionsOf<T>) => readonly OptionProblem[]
  /** Whether it asks the signal how far its scores can be trusted, and by which option. */
  readonly asksTrust?: (options: OptionsOf<T>) => string | undefined
  /** Whether it says itself what the loss is divided by; a normaliser beside it is refused. */
  readonly divides?: true
  /** Optimiser steps at the start in which every weight is 1 and the signal has no work. Default 0. */
  readonly firstScored?: (options: OptionsOf<T>) => number
  /** apply `mask` within a step: rows drawn for each row that is trained, >= 1. */
  readonly candidates?: (options: OptionsOf<T>) => number
  readonly needs?: (options: OptionsOf<T>) => Needs
  /** How often a run scores the whole pool between its steps, for a gate that wants that: all parts of it together. */
  readonly poolPasses?: (options: OptionsOf<T>, shape: RunShape) => number
  readonly create: (options: OptionsOf<T>, facts: RunFacts) => Gate
}

/** Any signal; its options are its own. */
// biome-ignore lint/suspicious/noExplicitAny: a definition's options are its own
export type AnySignalDefinition = SignalDefinition<string, any>
/** Any gate; its options are its own. */
// biome-ignore lint/suspicious/noExplicitAny: a definition's options are its own
export type AnyGateDefinition = GateDefinition<string, any>

/** A named composition: what `method: <id>` means. */
export interface MethodDefinition<
  I extends string = string,
  S extends AnySignalDefinition = AnySignalDefinition,
  G extends AnyGateDefinition = AnyGateDefinition,
> {
  readonly id: I
  /** One line for lists: what it does. */
  readonly about: string
  readonly page: `docs/methods/${string}.md`
  readonly signal: S
  readonly gate: G
  readonly apply: Apply
  /** Options that differ from the defaults of the parts. */
  readonly preset?: {
    readonly signal?: Partial<OptionsOf<S['options']>>
    readonly gate?: Partial<OptionsOf<G['options']>>
  }
  /** Default: the self-normalised form of the unit. */
  readonly normalizer?: (unit: 'sample' | 'token') => Normalizer
}

/** Declares a signal; kind and options keep their types. */
export const defineSignal = <const K extends string, const T extends OptionTable>(
  definition: SignalDefinition<K, T>,
): SignalDefinition<K, T> => definition

/** Declares a gate; kind and options keep their types. */
export const defineGate = <const K extends string, const T extends OptionTable>(
  definition: GateDefinition<K, T>,
): GateDefinition<K, T> => definition

/** Declares a method; its id keeps its type. */
export const defineMethod = <
  const I extends string,
  S extends AnySignalDefinition,
  G extends AnyGateDefinition,
>(
  definition: MethodDefinition<I, S, G>,
): MethodDefinition<I, S, G> => definition
