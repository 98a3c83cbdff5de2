import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { ResourceError } from '../errors.js'
import { renderReport } from './render-report.js'
import type { ReportInput } from './report-run.js'

/**
 * Writes a report whole or not at all: a reader never sees half a page, and an older report stays until the new
 * one is complete.
 *
 * @throws {ResourceError} REPORT_WRITE.
 */
export function writeReport(path: string, input: ReportInput): void {
  const page = renderReport(input)
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
