import { statfsSync } from 'node:fs'
import { ResourceError } from '../errors.js'
import type { Trainer } from '../train/index.js'

/** Bytes of a checkpoint of this trainer: what is trained, its two moments and its average in float32, and the method's tensors. */
export function checkpointBytes(trainer: Trainer): number {
  const kept = [...trainer.method.state().tensors.values()].reduce((total, { numel }) => total + numel, 0)
  // Weights and both moments.
  const copies = trainer.average ? 4 : 3
  return 4 * (copies * trainer.model.numTrainableParameters + kept)
}

/**
 * Finds out before the first step that the disk cannot hold what the run will keep, with one checkpoint more for the
 * moment in which a new one is there and the oldest not yet gone.
 * @param numThere  Checkpoints that lie in the folder already: they have their room.
 * @throws {ResourceError} DISK_FULL.
 */
export function requireRoom(folder: string, bytes: number, numKept: number, numThere = 0): void {
  const { bavail, bsize } = statfsSync(folder)
  const numNew = Math.max(1, numKept + 1 - numThere)
  const [needed, free] = [bytes * numNew, bavail * bsize]
  if (free >= needed) return
  const megabytes = (value: number) => `${Math.ceil(value / 1e6).toLocaleString('en')} MB`
  throw new ResourceError(
    'DISK_FULL',
    `output_dir: ${folder} has ${megabytes(free)} free, but ${numNew} checkpoints of ${megabytes(bytes)} need ${megabytes(needed)}; ` +
      'make room, lower training.save_total_limit or choose another folder',
    { needed, free },
  )
}
