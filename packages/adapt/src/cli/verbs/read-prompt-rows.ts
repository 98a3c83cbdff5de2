import { type DataRow, printable, readRows } from '../../dataset/index.js'
import { DataError } from '../../errors.js'
import { resolveDataFiles } from '../../hub/index.js'

/**
 * Records of files, globs and folders in their order.
 * @throws {DataError} EMPTY_DATA without any; what the readers throw.
 */
export async function readPromptRows(paths: readonly string[]): Promise<readonly DataRow[]> {
  const files = await resolveDataFiles(
    paths.map((path) => ({ path })),
    process.cwd(),
  )
  const rows: DataRow[] = []
  for await (const row of readRows(files)) rows.push(row)
  if (rows.length > 0) return rows
  throw new DataError(
    'EMPTY_DATA',
    `--prompts: expected at least one record, found none in ${paths.map((path) => printable(path)).join(', ')}`,
  )
}
