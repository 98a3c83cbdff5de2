import path from 'node:path'
import { ConfigError } from '../errors.js'
import type { DataSource, ResolvedFile } from './document.js'
import { fileKind } from './file-kind.js'
import { expandGlob } from './glob.js'
import { printable } from './printable.js'
import { isStaticWeight, STATIC_WEIGHT_RANGE } from './static-weight.js'

/**
 * Finds the files of the data entries: entries in the given order, files of one entry sorted by path, so the
 * order of documents does not depend on the file system.
 *
 * @param baseDir  Folder that relative paths start from; ids and fingerprints hold paths relative to it.
 * @throws {ConfigError} FILE_NOT_FOUND when an entry matches no file, UNKNOWN_FILE_TYPE for an extension that
 *   is not read, FILE_UNREADABLE when a folder cannot be listed, OUT_OF_RANGE for a bad `limit` or `weight`.
 */
export async function resolveSources(
  sources: readonly DataSource[],
  baseDir: string,
): Promise<ResolvedFile[]> {
  const files: ResolvedFile[] = []
  for (const [entry, source] of sources.entries()) {
    if (source.limit !== undefined && !(Number.isSafeInteger(source.limit) && source.limit >= 1)) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `limit of ${printable(source.path)}: expected an integer >= 1, received ${source.limit}`,
      )
    }
    if (source.weight !== undefined && !isStaticWeight(source.weight)) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `weight of ${printable(source.path)}: ${STATIC_WEIGHT_RANGE}, received ${source.weight}`,
      )
    }
    for (const found of await findFiles(source, baseDir)) {
      const name = path.relative(baseDir, found).split(path.sep).join('/')
      fileKind(name)
      files.push({
        path: found,
        name,
        entry,
        ...(source.source === undefined ? {} : { source: source.source }),
        ...(source.limit === undefined ? {} : { limit: source.limit }),
        ...(source.textField === undefined ? {} : { textField: source.textField }),
        ...(source.weight === undefined ? {} : { weight: source.weight }),
      })
    }
  }
  return files
}

async function findFiles(source: DataSource, baseDir: string): Promise<string[]> {
  let found: string[]
  try {
    found = await expandGlob(source.path, baseDir)
  } catch (error) {
    throw new ConfigError(
      'FILE_UNREADABLE',
      `${printable(source.path)}: cannot be listed: ${printable((error as Error).message)}`,
      { path: source.path },
      { cause: error },
    )
  }
  if (found.length === 0) {
    throw new ConfigError(
      'FILE_NOT_FOUND',
      `${printable(source.path)}: no such file, or the pattern matches none (looked from ${printable(baseDir)})`,
      { path: source.path, baseDir },
    )
  }
  return found
}
