import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { ResourceError } from '../errors.js'

/**
 * Writes a page whole or not at all: a reader never sees half of it, and an older one stays until the new one is
 * complete.
 *
 * @throws {ResourceError} REPORT_WRITE.
 */
export function writePage(path: string, page: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, page)
    renameSync(temporary, path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    const message = `report: cannot write ${path} (${(cause as Error).message})`
    throw new ResourceError('REPORT_WRITE', message, { path }, { cause })
  }
}
