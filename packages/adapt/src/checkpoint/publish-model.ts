import { ResourceError } from '../errors.js'
import { type CausalLM, type SaveTrainedOptions, saveTrainedModel } from '../model/index.js'
import { publishFolder } from './publish-folder.js'

/**
 * Writes a Hugging Face model or PEFT adapter folder whole or not at all: into a folder beside it, synced, then renamed. An older
 * folder of that name is replaced only when the new one is complete.
 * @throws {ResourceError} MODEL_WRITE.
 */
export function publishModel(model: CausalLM, folder: string, options: SaveTrainedOptions = {}): void {
  try {
    publishFolder(folder, (temporary) => saveTrainedModel(model, temporary, options))
  } catch (cause) {
    throw new ResourceError(
      'MODEL_WRITE',
      `cannot write the model to ${folder} (${(cause as Error).message})`,
      { folder },
      { cause },
    )
  }
}
