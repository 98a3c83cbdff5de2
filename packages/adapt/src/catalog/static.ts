/** Fixed shares of the sources. G sources of the data, S samples. Page: docs/methods/static.md. */
import { tensor } from '@adapt-ts/torch'
import { z } from 'zod'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { defineGate, defineMethod } from '../method/define-method.js'
import { option } from '../method/option-table.js'
import { requireData } from '../method/require-data.js'
import { constantSignal } from '../signal/index.js'
import {
  equalShares,
  hasShare,
  importanceWeights,
  SHARES_BY_SOURCE,
  sharesBySource,
} from './source-shares.js'

/** The same shares in every step: of what is read, or of what the loss weighs. */
export const fixedShares = defineGate({
  kind: 'fixed-shares',
  about: 'the same share of each source in every step: in what is read, or as p / q in the loss',
  units: ['sample'],
  applies: ['sample', 'loss'],
  draws: 'sources',
  isFixed: true,
  view: 'batch',
  options: {
    shares: option<'equal' | Readonly<Record<string, number>>>(
      z.union([z.literal('equal'), SHARES_BY_SOURCE], {
        error: 'expected "equal" or a mapping of sources to numbers >= 0',
      }),
      'equal',
      'Share of each source in the tokens, in any unit; a source left out has none. equal: every source alike (stratified sampling)',
    ),
  },
  needs: () => ({ sources: 2 }),
  check({ shares }) {
    if (shares === 'equal' || hasShare(shares)) return []
    return [{ key: 'shares', message: 'expected a share above 0 for a source, received none' }]
  },
  create: ({ shares }, facts) => {
    const data = requireData(facts, 'method.gate fixed-shares')
    const drawn = data.drawShares()
    const share_G = shares === 'equal' ? equalShares(drawn) : readable(shares, data.sources, drawn)
    const weight_G = importanceWeights(share_G, drawn)
    return {
      shares: () => share_G,
      weights: ({ score, source }) =>
        tensor(
          Float32Array.from(source, (g) => weight_G[g]!),
          [source.length],
          { device: score.device },
        ),
    }
  },
})

/** @throws {ConfigError} UNKNOWN_SOURCE, EMPTY_SOURCE for a share of a source that is never drawn. */
function readable(
  shares: Readonly<Record<string, number>>,
  sources: readonly string[],
  drawn: Float64Array,
): Float64Array {
  const key = 'method.gate.shares'
  const share_G = sharesBySource(shares, sources, key)
  const empty = share_G.findIndex((share, g) => share > 0 && drawn[g] === 0)
  if (empty === -1) return share_G
  const name = printable(sources[empty]!, 60)
  throw new ConfigError(
    'EMPTY_SOURCE',
    `${key}: expected shares of sources that are read, received one of "${name}", which has no samples or no share in data.mixing; take it out`,
    { source: name },
  )
}

/** Fixed-ratio mixing: the shares are known, nothing is learnt. */
export const staticShares = defineMethod({
  id: 'static',
  about: 'reads the sources by shares that the config gives; without any, all sources alike (stratified)',
  page: 'docs/methods/static.md',
  signal: constantSignal,
  gate: fixedShares,
  apply: 'sample',
  // Under a sum over the weights of the step a step of one source would lose its weight.
  normalizer: (unit) => `${unit}.mean`,
})
