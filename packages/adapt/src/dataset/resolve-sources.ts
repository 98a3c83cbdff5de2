import { existsSync } from 'node:fs'
import path from 'node:path'
import { ConfigError } from '../errors.js'
import type { DataSource, ResolvedFile } from './document.js'
import { fileKind, knownFileKind, READ_EXTENSIONS } from './file-kind.js'
import { expandGlob, listFolder } from './glob.js'
import { printable } from './printable.js'
import { isStaticWeight, STATIC_WEIGHT_RANGE } from './static-weight.js'

/** A file that an entry means, before what the entry says of it. */
export type FoundFile = Pick<ResolvedFile, 'path' | 'name' | 'defaultSource'>

/** Finds the files of an entry elsewhere than under its path; undefined when it names nothing of that kind. */
export type FindElsewhere = (source: DataSource) => Promise<readonly FoundFile[] | undefined>

/** Files of data sets that describe them and hold no records. */
const DESCRIPTIONS = [
  'dataset_infos.json',
  'dataset_dict.json',
  'dataset_info.json',
  'state.json',
  'config.json',
]

/** Whether a file of a folder is data, by its name. */
export function isDataFile(name: string): boolean {
  const kind = knownFileKind(name)
  return (
    kind !== undefined &&
    !DESCRIPTIONS.includes(path.posix.basename(name)) &&
    !(kind.format === 'table' && kind.packing !== 'none')
  )
}

/**
 * Finds the files of the data entries: entries in the given order, files of one entry sorted by path, so the
 * order of documents does not depend on the file system. Of a folder all data files in it and below are taken.
 *
 * @param baseDir  Folder that relative paths start from; ids and fingerprints hold paths relative to it.
 * @param findElsewhere  Asked for an entry whose path leads nowhere.
 * @throws {ConfigError} FILE_NOT_FOUND when an entry matches no file, UNKNOWN_FILE_TYPE for an extension that
 *   is not read, FILE_UNREADABLE when a folder cannot be listed, OUT_OF_RANGE for a bad `limit` or `weight`.
 */
export async function resolveSources(
  sources: readonly DataSource[],
  baseDir: string,
  findElsewhere: FindElsewhere = async () => undefined,
): Promise<ResolvedFile[]> {
  const files: ResolvedFile[] = []
  for (const [entry, source] of sources.entries()) {
    const { path: shown, limit, weight, textField, columns, sourceField } = source
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1)) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `limit of ${printable(shown)}: expected an integer >= 1, received ${limit}`,
      )
    }
    if (weight !== undefined && !isStaticWeight(weight)) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `weight of ${printable(shown)}: ${STATIC_WEIGHT_RANGE}, received ${weight}`,
      )
    }
    const named = { ...columns, ...(sourceField ? { source: sourceField } : {}) }
    for (const { path: found, name, defaultSource } of await findFiles(source, baseDir, findElsewhere)) {
      const kind = fileKind(name)
      const fixed = source.source ?? (sourceField === null ? (defaultSource ?? kind.stem) : undefined)
      files.push({
        path: found,
        name,
        entry,
        ...(fixed === undefined ? {} : { source: fixed }),
        ...(defaultSource === undefined ? {} : { defaultSource }),
        ...(limit === undefined ? {} : { limit }),
        ...(textField === undefined ? {} : { textField }),
        ...(Object.keys(named).length === 0 ? {} : { columns: named }),
        ...(weight === undefined ? {} : { weight }),
      })
    }
  }
  return files
}

async function findFiles(
  source: DataSource,
  baseDir: string,
  findElsewhere: FindElsewhere,
): Promise<readonly FoundFile[]> {
  const named = (files: readonly string[]) =>
    files.map((file) => ({ path: file, name: path.relative(baseDir, file).split(path.sep).join('/') }))
  let found: string[]
  let inFolder: string[] | undefined
  try {
    found = await expandGlob(source.path, baseDir)
    if (found.length === 0) inFolder = await listFolder(path.resolve(baseDir, source.path))
  } catch (error) {
    throw new ConfigError(
      'FILE_UNREADABLE',
      `${printable(source.path)}: cannot be listed: ${printable((error as Error).message)}`,
      { path: source.path },
      { cause: error },
    )
  }
  if (found.length > 0) return named(found)
  if (inFolder !== undefined) {
    const data = inFolder.filter((file) => isDataFile(path.basename(file)))
    if (data.length > 0) return named(data)
    const isArrow = inFolder.some((file) => file.endsWith('.arrow'))
    throw new ConfigError(
      'FILE_NOT_FOUND',
      `${printable(source.path)}: expected data files in the folder, ending in ${READ_EXTENSIONS}, found none` +
        (isArrow ? '; .arrow files are not read, write them with Dataset.to_parquet' : ''),
      { path: source.path, baseDir },
    )
  }
  const elsewhere = await findElsewhere(source)
  if (elsewhere !== undefined) return elsewhere
  if (existsSync(path.resolve(baseDir, source.path))) {
    throw new ConfigError(
      'FILE_UNREADABLE',
      `${printable(source.path)}: expected a file, a pattern or a folder, found a pipe, socket or device; data is read ` +
        'more than once, so write it to a file',
      { path: source.path },
    )
  }
  throw new ConfigError(
    'FILE_NOT_FOUND',
    `${printable(source.path)}: no such file or folder, or the pattern matches none (looked from ${printable(baseDir)})`,
    { path: source.path, baseDir },
  )
}
