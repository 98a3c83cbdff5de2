import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ResourceError } from '../errors.js'
import { type Llama, type SaveModelOptions, saveModelFolder } from '../model/index.js'

/** Waits until a file or a folder's entries are on the disk. */
function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Writes a Hugging Face model folder whole or not at all: into a folder beside it, synced, then renamed. An older
 * folder of that name is replaced only when the new one is complete.
 * @throws {ResourceError} MODEL_WRITE.
 */
export function publishModel(model: Llama, folder: string, options: SaveModelOptions = {}): void {
  const temporary = `${folder}.tmp-${process.pid}`
  const replaced = `${folder}.old-${process.pid}`
  try {
    rmSync(temporary, { recursive: true, force: true })
    saveModelFolder(model, temporary, options)
    for (const name of readdirSync(temporary)) syncPath(join(temporary, name))
    syncPath(temporary)
    // Left by a run that was killed here and had this process id, as happens in containers.
    rmSync(replaced, { recursive: true, force: true })
    try {
      renameSync(folder, replaced)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    renameSync(temporary, folder)
    syncPath(dirname(folder))
    rmSync(replaced, { recursive: true, force: true })
  } catch (cause) {
    try {
      if (existsSync(replaced) && !existsSync(folder)) renameSync(replaced, folder)
      rmSync(temporary, { recursive: true, force: true })
    } catch {
      // The first error says what is wrong.
    }
    throw new ResourceError(
      'MODEL_WRITE',
      `cannot write the model to ${folder} (${(cause as Error).message})`,
      { folder },
      { cause },
    )
  }
}
