import { distributed, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import type { SignalBatch, SignalContext } from './signal.js'

/**
 * Samples of one token each whose hidden state is a given vector, so that phi is that vector: what a signal makes
 * of embeddings can be worked out by hand.
 */
export class GivenStates {
  private readonly states = new Map<Batch, readonly (readonly number[])[]>()

  /** A batch of one-token rows with these states. */
  batch(vectors: readonly (readonly number[])[]): Batch {
    const batch = batchOf(vectors.map(() => [{ tokens: [5] }]))
    this.states.set(batch, vectors)
    return batch
  }

  /** Changes the states of a batch: the model has moved on. */
  move(batch: Batch, vectors: readonly (readonly number[])[]): void {
    this.states.set(batch, vectors)
  }

  /** The batch as a signal sees it. */
  embed(batch: Batch): SignalBatch {
    const vectors = this.states.get(batch)!
    return {
      inputs: {
        batch,
        tokens_BT: tensor([5], [1], { dtype: 'int64' }),
        position_BT: undefined,
        mask_BTT: undefined,
      },
      hidden_BTD: tensor(Float32Array.from(vectors.flat()), [vectors.length, 1, vectors[0]!.length]),
      sampleLoss_S: () => tensor(new Float32Array(vectors.length), [vectors.length]),
    }
  }

  context(anchors: readonly Batch[]): SignalContext {
    return { collective: distributed.singleProcess, anchors, embed: (batch) => this.embed(batch) }
  }
}
