import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ResourceError } from '../errors.js'
import { type CausalLM, type SaveTrainedOptions, saveTrainedModel } from '../model/index.js'
import { verifyManifest } from './manifest.js'
import { publishFolder } from './publish-folder.js'
import { AVERAGE_FOLDER } from './training-state.js'

/** Weights as they are trained, or their exponential moving average. */
export type ModelWeights = 'raw' | 'ema'

/** Files of a checkpoint that are no part of a model folder. */
const STATE_FILES = new Set([
  ...['manifest.json', 'state.json', 'optimizer.safetensors', 'method.safetensors'],
  AVERAGE_FOLDER,
])

/**
 * Writes a Hugging Face model or PEFT adapter folder whole or not at all: into a folder beside it, synced, then renamed. An older
 * folder of that name is replaced only when the new one is complete.
 * @throws {ResourceError} MODEL_WRITE.
 */
export function publishModel(model: CausalLM, folder: string, options: SaveTrainedOptions = {}): void {
  publish(folder, (temporary) => saveTrainedModel(model, temporary, options))
}

/**
 * Makes the model of a checkpoint a model folder, in the same way: a checkpoint is one, with the state beside it, and holds another with
 * the averaged weights.
 * @param weights  Those as they were trained, or their moving average.
 * @throws {HostileFileError} CHECKPOINT_DAMAGED before anything is written. @throws {ResourceError} MODEL_WRITE.
 */
export function publishCheckpointModel(
  checkpoint: string,
  folder: string,
  weights: ModelWeights = 'raw',
): void {
  verifyManifest(checkpoint)
  const from = weights === 'ema' ? join(checkpoint, AVERAGE_FOLDER) : checkpoint
  publish(folder, (temporary) => {
    for (const name of readdirSync(from).filter((file) => !STATE_FILES.has(file)))
      cpSync(join(from, name), join(temporary, name), { recursive: true })
  })
}

function publish(folder: string, write: (temporary: string) => void): void {
  try {
    publishFolder(folder, write)
  } catch (cause) {
    throw new ResourceError(
      'MODEL_WRITE',
      `cannot write the model to ${folder} (${(cause as Error).message})`,
      { folder },
      { cause },
    )
  }
}
