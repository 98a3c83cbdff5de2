import type { CliIo } from '../terminal/cli-io.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface ReportOptions {
  readonly output?: string
  readonly dataDir?: string
}

/** `adapt report RUN...` */
export async function reportCommand(
  folders: readonly string[],
  options: ReportOptions,
  io: CliIo,
): Promise<void> {
  // Not the folder's index: a report needs no engine, so it can be made where none is installed.
  const { writeRunReport } = await import('../../run-report/index.js')
  const path = await writeRunReport(folders, {
    ...(options.output === undefined ? {} : { path: options.output }),
    ...(options.dataDir === undefined ? {} : { baseDir: options.dataDir }),
  })
  io.stdout.line(`report  ${shortenPath(path)}`)
}
