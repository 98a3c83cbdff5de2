import type { Device, Tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { type LabelledPositions, labelledPositions } from '../loss/index.js'
import { type ModelInputs, toModelInputs } from '../model/index.js'

/** What the training forward and the loss need of a micro-batch, on the device. */
export interface MicroBatchInputs {
  readonly inputs: ModelInputs
  readonly labelled: LabelledPositions
}

interface Kept extends MicroBatchInputs {
  readonly tensors: readonly Tensor[]
}

/**
 * Micro-batches on the device, those of the next step already while the device works on this one: it does not wait for the
 * host between two steps. The CPU is host and device at once and gains nothing.
 */
export class StepInputs {
  private readonly ahead = new Map<Batch, Kept>()

  constructor(private readonly device: Device) {}

  /** Those that were made ahead, else new ones in the current scope. */
  of(batch: Batch): MicroBatchInputs {
    return this.ahead.get(batch) ?? this.make(batch)
  }

  /** Frees what the step under way used, and makes what the next one needs, where the device is not the CPU. */
  makeAhead(nextBatches: () => readonly Batch[]): void {
    this.dispose()
    if (this.device === 'cpu') return
    for (const batch of nextBatches()) {
      if (batch.rows > 0) this.ahead.set(batch, keep(this.make(batch)))
    }
  }

  private make(batch: Batch): MicroBatchInputs {
    return { inputs: toModelInputs(batch, this.device), labelled: labelledPositions(batch, this.device) }
  }

  /** Frees what was made ahead. */
  dispose(): void {
    for (const { tensors } of this.ahead.values()) for (const tensor of tensors) tensor.dispose()
    this.ahead.clear()
  }
}

/** Out of every scope, until it is freed. */
function keep({ inputs, labelled }: MicroBatchInputs): Kept {
  const { tokens_BT, position_BT, dense } = inputs
  const { labels_N, sample_N, position_N } = labelled
  const tensors = [tokens_BT, position_BT, dense?.place_N, labels_N, sample_N, position_N]
    .filter((tensor) => tensor !== undefined)
    .map((tensor) => tensor.persist())
  return { inputs, labelled, tensors }
}
