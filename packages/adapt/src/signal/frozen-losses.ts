/** S samples of a batch. */
import type { Tensor } from '@adapt-ts/torch'
import { type Batch, buildBatch, likeLengths } from '../batch/index.js'
import { chunkedTokenLosses, labelledPositions, sampleMeans } from '../loss/index.js'
import type { PreparationTools } from '../method/preparation.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import type { TokenizedSample } from '../tokenize/index.js'
import { countTokens } from './embed-anchors.js'

/** Some samples of a list, and their places in it. */
interface PlacedBatch {
  readonly places: readonly number[]
  readonly batch: Batch
}

/**
 * Samples in batches of about one length.
 * @param maxTokens  Of a batch, padding included; 0: each sample alone.
 */
export function* cutSamples(samples: readonly TokenizedSample[], maxTokens?: number): Generator<PlacedBatch> {
  const data = { sample: (place: number) => samples[place]! }
  const lengths = samples.map(({ tokens }) => tokens.length)
  for (const places of likeLengths(lengths, maxTokens)) {
    const rows = places.map((place) => [place])
    yield { places, batch: buildBatch(rows, data, { padId: 0, packing: false }) }
  }
}

/** The same; signals and timers get their turn between two. */
export async function* sampleBatches(
  samples: readonly TokenizedSample[],
  maxTokens?: number,
): AsyncGenerator<PlacedBatch> {
  for (const batch of cutSamples(samples, maxTokens)) {
    yield batch
    await new Promise(setImmediate)
  }
}

/** States of a batch under a frozen model [B, T, D], charged to preparation; belong to the current scope. */
export function frozenStates(model: CausalLM, batch: Batch, tools: PreparationTools): Tensor {
  tools.charge(2 * model.numParameters * countTokens([batch]))
  return embedTokens(model, toModelInputs(batch, model.device), { autocastDtype: tools.autocastDtype })
}

/**
 * Mean nats per label, 0 without any: float32 [S]. The output head is multiplied in float32, whatever the dtype of the rest: what is wanted are
 * small differences of losses.
 */
export function frozenLosses(model: CausalLM, hidden_BTD: Tensor, batch: Batch): Tensor {
  const labelled = labelledPositions(batch, model.device)
  const hidden_ND = labelled.select(hidden_BTD)
  if (labelled.count === 0) return sampleMeans(hidden_ND, batch.samples)
  return sampleMeans(chunkedTokenLosses(hidden_ND, model.headWeight, labelled.labels_N), batch.samples)
}
