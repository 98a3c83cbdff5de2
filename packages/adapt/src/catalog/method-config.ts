import type { Normalizer } from '../loss/index.js'
import type { Apply } from '../method/contract.js'
import type { SnakeCase } from '../method/option-names.js'
import type { OptionsOf, OptionTable } from '../method/option-table.js'
import type { GateKind, KnownGate, KnownSignal, MethodId, SignalKind } from './registry.js'

type SnakeCaseKeys<T> = { readonly [K in keyof T as K extends string ? SnakeCase<K> : K]: T[K] }

/** Kind and options of a definition, as a config has them and as code writes them. */
type ConfigOf<D> = D extends { readonly kind: infer K; readonly options: infer T extends OptionTable }
  ? { readonly kind: K } & SnakeCaseKeys<OptionsOf<T>>
  : never
type OptionsInCode<D> = D extends { readonly kind: infer K; readonly options: infer T extends OptionTable }
  ? { readonly kind?: K } & { readonly [Key in keyof T]?: OptionsOf<T>[Key] }
  : never

/** A signal with every option: what is measured. */
export type SignalConfig = ConfigOf<KnownSignal>
/** A gate with every option: how a score becomes a weight. */
export type GateConfig = ConfigOf<KnownGate>

/** A method with every option of its signal and gate filled in. */
export interface MethodConfig {
  readonly preset: MethodId
  readonly signal: SignalConfig
  readonly gate: GateConfig
  readonly apply: Apply
  /** Control: the weights of every step are dealt out anew among its samples. */
  readonly shuffle?: true
  /** Control: every sample gets the mean weight of its source. */
  readonly collapse?: 'source'
  /** Absent: chosen from the data by `resolveNormalizer`. */
  readonly normalizer?: Normalizer
}

/** A method as a config file has it: any part may be missing. */
export interface MethodInput {
  readonly preset?: MethodId
  readonly signal?: Readonly<Record<string, unknown>> & { readonly kind?: SignalKind }
  readonly gate?: Readonly<Record<string, unknown>> & { readonly kind?: GateKind }
  readonly apply?: Apply
  readonly shuffle?: boolean
  readonly collapse?: 'source'
  readonly normalizer?: Normalizer
}

/** A method as code writes it: the keys of a config's `method` in camelCase, any of which may be missing. */
export interface MethodOptions extends Omit<MethodInput, 'signal' | 'gate'> {
  readonly signal?: OptionsInCode<KnownSignal>
  readonly gate?: OptionsInCode<KnownGate>
}
