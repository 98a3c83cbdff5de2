import { tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import type { Evidence, StepFacts } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { batchOf } from '../model/tiny-llama.test.fixture.js'

/**
 * Samples of one token each whose hidden state is a given vector, so that phi is that vector: what a signal makes
 * of embeddings can be worked out by hand.
 */
export class GivenStates {
  private readonly states = new Map<string, readonly number[]>()
  /** Tokens charged to the signal so far. */
  charged = 0

  /** A batch of one-token rows with these states; `tasks` names the source of each. */
  batch(vectors: readonly (readonly number[])[], tasks: readonly string[] = []): Batch {
    const first = this.states.size
    const made = batchOf(
      vectors.map((_, i) => [{ tokens: [5], id: `given-${first + i}`, source: tasks[i] ?? 's' }]),
    )
    this.move(made, vectors)
    return made
  }

  /** Changes the states of a batch: the model has moved on. */
  move(batch: Batch, vectors: readonly (readonly number[])[]): void {
    for (const [i, { id }] of batch.samples.entries()) this.states.set(id, vectors[i]!)
  }

  /** The batch as a signal sees it. */
  look(batch: Batch): Evidence {
    const vectors = batch.samples.map(({ id }) => this.states.get(id)!)
    const notNamed = () => {
      throw new Error('these samples have hidden states alone')
    }
    return {
      batch,
      inputs: {
        batch,
        tokens_BT: tensor([5], [1], { dtype: 'int64' }),
        position_BT: undefined,
        dense: undefined,
        isPacked: false,
      },
      hidden_BTD: tensor(Float32Array.from(vectors.flat()), [vectors.length, 1, vectors[0]!.length]),
      sampleOf_N: new Int32Array(),
      tokenLoss_N: () => tensor(new Float32Array(), [0]),
      sampleLoss_S: () => tensor(new Float32Array(vectors.length), [vectors.length]),
      referenceLoss_N: notNamed,
      factors: notNamed,
    }
  }

  /** A forward costs one FLOP a token here. */
  facts(anchors: readonly Batch[], step = 0): StepFacts {
    return stepFacts({
      anchors,
      step,
      look: (batch) => this.look(batch),
      charge: (numTokens) => {
        this.charged += numTokens
        return numTokens
      },
    })
  }
}
