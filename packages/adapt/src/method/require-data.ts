import { ConfigError } from '../errors.js'
import type { DataFacts, RunFacts } from './contract.js'

/**
 * What is known of the training data, for a part that cannot do without.
 * @throws {ConfigError} NEEDS_DATA where a trainer is fed batches without it.
 */
export function requireData({ data }: RunFacts, part: string): DataFacts {
  if (data !== undefined) return data
  throw new ConfigError('NEEDS_DATA', `${part}: expected the training data to be at hand, received none`)
}
