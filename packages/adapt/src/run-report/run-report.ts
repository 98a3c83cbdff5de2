import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from '../errors.js'
import { requireNoInput } from '../open/index.js'
import { type ReportRun, writeReport } from '../report/index.js'
import { type ReadRunOptions, readReportRun } from './read-report-run.js'

/**
 * Writes one report of runs that lie in folders, from what is in the folders and their data files.
 *
 * @param path  Default: `report.html` in the folder of the only run.
 * @returns The path that was written.
 * @throws {ConfigError} NOT_A_RUN, or OUTPUT_NEEDED for several runs without a path. @throws {HostileFileError} for
 *   a damaged event log or ledger. @throws {ResourceError} REPORT_WRITE.
 * @example
 * await writeRunReport(['runs/first'])
 */
export async function writeRunReport(
  folders: readonly string[],
  options: ReadRunOptions & { readonly path?: string } = {},
): Promise<string> {
  if (folders.length > 1 && options.path === undefined)
    throw new ConfigError(
      'OUTPUT_NEEDED',
      `a report of ${folders.length} runs needs a file to go to: pass --output`,
    )
  for (const folder of options.path === undefined ? [] : folders) {
    if (!existsSync(folder)) continue
    const entries = readdirSync(folder).filter((name) => name !== 'report.html')
    const inputs = entries.map((name) => ({ key: `${name} of the run`, path: join(folder, name) }))
    requireNoInput('--output', options.path!, inputs)
  }
  const runs: ReportRun[] = []
  for (const folder of folders) runs.push(await readReportRun(folder, options))
  const path = resolve(options.path ?? join(folders[0]!, 'report.html'))
  const names = runs.map(({ name }) => name).join(', ')
  writeReport(path, { title: `ADAPT ${runs.length === 1 ? 'run' : 'runs'} ${names}`, runs })
  return path
}
