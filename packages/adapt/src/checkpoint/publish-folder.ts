import { readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { syncPath } from '../dataset/sync-path.js'

/** Name of the folder in which this process prepares `folder`; it stands beside it, on the same file system. */
export function temporaryName(folder: string): string {
  return join(dirname(folder), `.${basename(folder)}.tmp-${process.pid}`)
}

/**
 * Makes a folder appear whole or not at all: `write` fills a folder beside it, whose files and entries are synced;
 * then it is renamed and the parent synced. An older folder of that name is replaced only when the new one is complete.
 *
 * @param write  Fills the temporary folder; `seal` runs after its files are on the disk and may add a last one.
 * @throws what `write` or the file system throws; the temporary folder is gone then and the older one in its place.
 */
export function publishFolder(
  folder: string,
  write: (temporary: string) => void,
  seal: (temporary: string) => void = () => {},
): void {
  const temporary = temporaryName(folder)
  const replaced = `${temporary}.old`
  try {
    rmSync(temporary, { recursive: true, force: true })
    makeFolder(temporary)
    write(temporary)
    for (const name of readdirSync(temporary, { recursive: true }) as string[])
      syncPath(join(temporary, name))
    seal(temporary)
    syncPath(temporary)
    // Left by a process that was killed here and had this process id, as happens in containers.
    rmSync(replaced, { recursive: true, force: true })
    try {
      renameSync(folder, replaced)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    renameSync(temporary, folder)
    syncPath(dirname(folder))
    rmSync(replaced, { recursive: true, force: true })
  } catch (error) {
    try {
      renameSync(replaced, folder)
    } catch {
      // There was nothing to put back, or the new folder is in its place already.
    }
    try {
      rmSync(temporary, { recursive: true, force: true })
    } catch {
      // The first error says what is wrong.
    }
    throw error
  }
}
