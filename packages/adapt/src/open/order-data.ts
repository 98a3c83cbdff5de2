import { createRowStream, type RowCursor, type RowStream } from '../batch/index.js'
import type { RunConfig } from '../config/index.js'
import type { Artefact } from '../method/preparation.js'
import type { RunInputs } from './open-inputs.js'

/** The inputs of a run in the order that they are trained in. */
export interface OrderedData extends RunInputs {
  readonly rows: RowStream
  /** The same order from another place on. */
  rowsFrom(cursor: RowCursor): RowStream
  /** What the method's preparation left. */
  readonly artefact: Artefact
}

/** Draws up the order of the training data: a function of the data, the config and what the method's preparation left. */
export function orderData(config: RunConfig, inputs: RunInputs, artefact: Artefact): OrderedData {
  const { data, training } = config
  const rowsFrom = (cursor?: RowCursor) =>
    createRowStream({
      dataset: inputs.train,
      seed: training.seed,
      maxLength: data.max_length,
      packing: data.packing,
      windowSize: Math.min(data.packing_window, 65_536),
      mixing: data.mixing,
      ...(cursor === undefined ? {} : { cursor }),
    })
  return {
    ...inputs,
    fingerprints: { ...inputs.fingerprints, order: describeOrder(config) },
    rows: rowsFrom(),
    rowsFrom,
    artefact,
  }
}

/** What the order of the samples is a function of besides the samples, as JSON: a place in it means nothing under another. */
function describeOrder({ data, training }: RunConfig): string {
  const { max_length, packing, packing_window, mixing, val_set_size } = data
  return JSON.stringify({ seed: training.seed, max_length, packing, packing_window, mixing, val_set_size })
}
