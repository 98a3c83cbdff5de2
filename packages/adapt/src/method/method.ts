import type { Gate } from '../gate/index.js'
import type { Normalizer } from '../loss/index.js'
import type { Signal } from '../signal/index.js'

/**
 * A curation method: what is measured, how a score becomes a weight, and what the weight multiplies. The training
 * step knows this interface and no method by name.
 */
export interface Method {
  readonly name: string
  readonly signal: Signal
  readonly gate: Gate
  /** The weight scales the sample's loss. */
  readonly apply: 'loss'
  readonly normalizer: Normalizer
}
