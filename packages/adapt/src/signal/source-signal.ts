import { type Tensor, tensor } from '@adapt-ts/torch'
import { z } from 'zod'
import { ConfigError } from '../errors.js'
import type { Signal } from '../method/contract.js'
import { defineSignal } from '../method/define-method.js'
import { realNumber } from '../method/number-ranges.js'
import { option, real, SCORE } from '../method/option-table.js'

/** The table of {@link createSourceSignal}. */
export interface SourceSignalOptions {
  /** Score by name of the source. */
  readonly table: Readonly<Record<string, number>>
  /** Score of the sources that the table does not name. */
  readonly default: number
  /** Sources of the training data; without them names are not checked. */
  readonly sources?: readonly string[]
}

/**
 * A score per source, from a table: s_i = table[source of x_i]. With the identity gate it weights by source, which is how
 * an oracle is written that knows which sources matter.
 * @throws {ConfigError} UNKNOWN_SOURCE when the table names a source that the data does not have.
 */
export function createSourceSignal({ table, default: fallback, sources }: SourceSignalOptions): Signal {
  const unknown = sources === undefined ? [] : Object.keys(table).filter((name) => !sources.includes(name))
  if (unknown.length > 0) {
    const shown = unknown.map((name) => JSON.stringify(name)).join(', ')
    throw new ConfigError(
      'UNKNOWN_SOURCE',
      `method.signal.table: expected names of sources of data.train (${sources!.join(', ')}), received ${shown}`,
      { unknown },
    )
  }
  return {
    score({ batch: { samples }, hidden_BTD }): Tensor {
      const scores = Float32Array.from(samples, ({ source }) =>
        Object.hasOwn(table, source) ? table[source]! : fallback,
      )
      return tensor(scores, [samples.length], { device: hidden_BTD.device })
    },
  }
}

/** {@link createSourceSignal}. */
export const sourceSignal = defineSignal({
  kind: 'source',
  about: 'a number per source, from a table',
  unit: 'sample',
  options: {
    table: option<Readonly<Record<string, number>>>(
      z.record(z.string().min(1), realNumber(SCORE)),
      {},
      'Score by name of the source.',
    ),
    default: real(SCORE, 1, 'Score of the other sources.'),
  },
  needs: () => ({}),
  create: ({ table, default: fallback }, { data }) =>
    createSourceSignal({
      table,
      default: fallback,
      ...(data ? { sources: data.sources } : {}),
    }),
})
