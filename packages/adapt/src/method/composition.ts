import type { Normalizer } from '../loss/index.js'
import type { Apply, Gate, Needs, RunFacts, Signal, Unit } from './contract.js'
import type { Artefact } from './preparation.js'

/** A signal and a gate with what is known of them: what the planners work with. */
export interface Composition {
  readonly id: string
  readonly signal: Signal
  readonly gate: Gate
  /** What one score belongs to. */
  readonly unit: Unit
  /** What the gate must see at once. */
  readonly view: 'batch' | 'step'
  /** Whether the gate asks for products of samples. */
  readonly interactions: boolean
  readonly needs: Needs
  readonly apply: Apply
  readonly normalizer: Normalizer
  /** Steps at the start in which nothing is scored. */
  readonly firstScored: number
  /** Rows drawn for each row that is trained. */
  readonly candidates: number
  /** The signal's scores were made before training. */
  readonly isStored: boolean
  readonly artefact: Artefact
  readonly facts: RunFacts
}
