import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it that are not there. Unlike Node's recursive `mkdir` it returns where a parent takes no
 * entries (`/proc`): that one tries for ever.
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const parent = dirname(folder)
    if (code === 'EEXIST') {
      if (statSync(folder).isDirectory()) return
      throw error
    }
    if (code !== 'ENOENT' || parent === folder || existsSync(parent)) throw error
    makeFolder(parent)
    makeFolder(folder)
  }
}
