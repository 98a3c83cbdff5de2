import { full, type Tensor, tensor } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import type { Signal } from '../method/contract.js'
import type { Artefact } from '../method/preparation.js'

/**
 * Scores that were made before training, looked up by the sample's dense index; 1 where the preparation left shares or a selection only.
 * @throws {ConfigError} NOT_PREPARED without an artefact.
 */
export function createStoredSignal(artefact: Artefact): Signal {
  const { score_P } = artefact
  if (Object.keys(artefact).length === 0) {
    throw new ConfigError(
      'NOT_PREPARED',
      'method: expected what its preparation leaves, received nothing; train with train(options) or adapt train, which prepare first',
    )
  }
  return {
    score({ batch: { samples } }, { device }): Tensor {
      if (score_P === undefined) return full([samples.length], 1, { device })
      const score_S = Float32Array.from(samples, ({ index }) => score_P[index] ?? Number.NaN)
      return tensor(score_S, [samples.length], { device })
    },
  }
}
