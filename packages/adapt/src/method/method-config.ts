import type { Normalizer } from '../loss/normalizer.js'
import type { Apply } from './contract.js'

/** A signal or gate as a config resolves it: its kind and a value for each of its options, in snake_case. */
export interface PartConfig {
  readonly kind: string
  readonly [option: string]: unknown
}

/** A method as a config resolves it: every option of its parts is filled in. */
export interface MethodConfig {
  readonly preset: string
  readonly signal: PartConfig
  readonly gate: PartConfig
  readonly apply: Apply
  /** Control: the weights of every step are dealt out anew among its samples. */
  readonly shuffle?: true
  /** Control: every sample gets the mean weight of its source. */
  readonly collapse?: 'source'
  /** Absent: chosen from the data. */
  readonly normalizer?: Normalizer
}
