import { ConfigError } from '../errors.js'
import type { MethodConfig } from '../method/method-config.js'
import { needsOf } from './method-parts.js'

/** What is known of a run's inputs; what is not known yet is absent. */
export interface KnownInputs {
  /** Anchors, or entries of them. */
  readonly anchors?: number
  /** Sources of the training data. */
  readonly sources?: number
  /** Whether every training record is plain text. */
  readonly isPlainText?: boolean
  /** Whether a row may hold several samples. */
  readonly isPacked?: boolean
}

/** An input that a method needs and does not have, by the key to set. */
export interface MissingNeed {
  readonly path: readonly string[]
  readonly message: string
}

/** What the method needs of the inputs and does not get, as far as they are known. */
export function missingNeeds(config: MethodConfig, inputs: KnownInputs): readonly MissingNeed[] {
  const needs = needsOf(config)
  const missing: MissingNeed[] = []
  const other = '(or set method: uniform)'
  if (needs.anchors && inputs.anchors === 0) {
    missing.push({
      path: ['anchors'],
      message: `expected at least one entry for method "${config.preset}", received none ${other}`,
    })
  }
  if (needs.sources !== undefined && inputs.sources !== undefined && inputs.sources < needs.sources) {
    missing.push({
      path: ['data', 'train'],
      message: `expected at least ${needs.sources} sources for method "${config.preset}", received ${inputs.sources}; give the entries a source or a source_field ${other}`,
    })
  }
  if (needs.prompts && inputs.isPlainText === true) {
    missing.push({
      path: ['data', 'train'],
      message: `expected records with prompts for method "${config.preset}", received plain text ${other}`,
    })
  }
  if (needs.unpacked && inputs.isPacked === true) {
    missing.push({
      path: ['data', 'packing'],
      message: `expected false for method "${config.preset}", which weighs rows of one sample each, received true`,
    })
  }
  return missing
}

/** @throws {ConfigError} NEEDS_INPUT, one line a need. */
export function requireNeeds(config: MethodConfig, inputs: KnownInputs): void {
  const missing = missingNeeds(config, inputs)
  if (missing.length === 0) return
  const lines = missing.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new ConfigError('NEEDS_INPUT', lines.join('\n'))
}
