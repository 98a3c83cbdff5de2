/** P samples of the pool. */
import { full, type Tensor, tensor } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import type { Rescoring, Signal } from '../method/contract.js'
import { EventList } from '../method/event-list.js'
import type { Artefact } from '../method/preparation.js'
import { KeptNumbers } from './kept-numbers.js'

/**
 * Scores that were made before training, looked up by the sample's dense index; 1 where the preparation left shares or a selection only.
 * @param rescoring  Makes them anew while training; those that are no finite number stay as they were.
 * @throws {ConfigError} NOT_PREPARED without an artefact.
 */
export function createStoredSignal(artefact: Artefact, rescoring?: Rescoring): Signal {
  if (Object.keys(artefact).length === 0) {
    throw new ConfigError(
      'NOT_PREPARED',
      'method: expected what its preparation leaves, received nothing; train with train(options) or adapt train, which prepare first',
    )
  }
  let { score_P } = artefact
  const kept = new KeptNumbers('score')
  const events = new EventList()
  return {
    stored: {
      scores: () => score_P,
      ...(rescoring ? { rescoring } : {}),
      take(pool, { step }) {
        const figures = rescoring?.figures?.(pool)
        const next = Float32Array.from(score_P!)
        for (const [place, sample] of Array.from(pool.index).entries())
          if (Number.isFinite(pool.score[place])) next[sample] = pool.score[place]!
        score_P = next
        kept.keep(next)
        events.add({ kind: 'rescored', step, fields: { scored: pool.index.length, ...figures } })
      },
    },
    score({ batch: { samples } }, { device }): Tensor {
      const known = score_P
      if (known === undefined) return full([samples.length], 1, { device })
      const score_S = Float32Array.from(samples, ({ index }) => known[index] ?? Number.NaN)
      return tensor(score_S, [samples.length], { device })
    },
    takeEvents: events.take,
    state: () => ({ json: {}, tensors: kept.tensors }),
    load({ tensors }) {
      score_P = kept.load(tensors) ?? score_P
    },
    dispose: () => kept[Symbol.dispose](),
  }
}
