import { renderReport } from './render-report.js'
import type { ReportInput } from './report-run.js'
import { writePage } from './write-page.js'

/**
 * Writes a report whole or not at all.
 *
 * @throws {ResourceError} REPORT_WRITE.
 */
export function writeReport(path: string, input: ReportInput): void {
  writePage(path, renderReport(input))
}
