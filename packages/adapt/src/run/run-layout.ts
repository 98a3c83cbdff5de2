import type { Layout } from '../batch/index.js'
import type { RunConfig } from '../config/index.js'
import type { OrderedData } from '../open/index.js'
import type { World } from './world.js'

/** How the rows of a run's steps become the micro-batches of this rank. */
export function runLayout(
  { data: { packing, max_length }, training }: RunConfig,
  { train, padId }: Pick<OrderedData, 'train' | 'padId'>,
  { worldSize, rank }: Pick<World, 'worldSize' | 'rank'>,
): Layout {
  return {
    dataset: train,
    padId,
    packing,
    maxLength: max_length,
    perDevice: training.per_device_train_batch_size,
    worldSize,
    rank,
  }
}
