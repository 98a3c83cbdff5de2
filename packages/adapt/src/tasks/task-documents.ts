import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import type { Environment } from '../config/index.js'
import { type DataSource, isObject, type JsonValue, printable, readRows } from '../dataset/index.js'
import { AdaptError, ConfigError, DataError } from '../errors.js'
import { fetchDataSets, resolveDataFiles } from '../hub/index.js'
import { selectDataFiles } from '../hub/select-data-files.js'
import type { Task } from './read-task-file.js'

/** A record of a benchmark. */
export interface TaskDocument {
  readonly fields: Readonly<Record<string, JsonValue>>
  /** File and line, for messages. */
  readonly where: string
  /** Equal for equal records. */
  readonly key: string
}

export interface DocumentOptions {
  readonly env?: Environment
  readonly onLine?: (line: string) => void
}

/** Names of readers of `datasets`, whose files `dataset_kwargs.data_files` names. */
const READERS = ['json', 'csv', 'parquet', 'text']

/** Files and folders of this machine that a task is read from: its own file and data that lies beside it; no data of the hub. */
export function localPaths({ file, folder, config }: Task): readonly string[] {
  const { dataset_path: path, dataset_kwargs: kwargs } = config
  const files = kwargs?.data_files
  if (files === undefined) {
    const place = resolve(folder, path)
    return existsSync(place) ? [resolve(file), place] : [resolve(file)]
  }
  const names = (isObject(files) ? Object.values(files) : [files]).flat() as readonly string[]
  return [resolve(file), ...names.map((name) => resolve(folder, kwargs?.data_dir ?? '.', name))]
}

/** The records of a task's splits; each split is read once. */
export class TaskDocuments {
  private readonly splits = new Map<string, Promise<readonly TaskDocument[]>>()

  constructor(
    private readonly task: Task,
    private readonly options: DocumentOptions = {},
  ) {}

  /** Those that are evaluated: of the test split, or of the validation split where there is none. */
  async evaluated(): Promise<readonly TaskDocument[]> {
    const { test_split, validation_split } = this.task.config
    const split = test_split ?? validation_split
    if (typeof split !== 'string') {
      throw new ConfigError(
        'NO_SPLIT',
        `${printable(this.task.file)}: expected test_split or validation_split, received none`,
      )
    }
    return await this.split(split)
  }

  /** Those that few-shot examples are taken from. */
  async examples(): Promise<readonly TaskDocument[]> {
    const { fewshot_config: config, fewshot_split, training_split, validation_split } = this.task.config
    const split = config?.split ?? fewshot_split
    if (typeof split === 'string') return await this.split(split)
    if (config?.samples !== undefined) {
      return config.samples.map((sample, i) =>
        toDocument(sample as JsonValue, `${printable(this.task.file)}: fewshot_config.samples.${i}`),
      )
    }
    return typeof (training_split ?? validation_split) === 'string'
      ? await this.split((training_split ?? validation_split)!)
      : await this.evaluated()
  }

  private split(name: string): Promise<readonly TaskDocument[]> {
    const found = this.splits.get(name) ?? this.read(name)
    this.splits.set(name, found)
    return found
  }

  private async read(split: string): Promise<readonly TaskDocument[]> {
    const { sources, baseDir } = this.sourcesOf(split)
    const { env = process.env, onLine = () => {} } = this.options
    await this.blamed(() => fetchDataSets(sources, baseDir, { env, onLine }))
    const documents: TaskDocument[] = []
    for await (const { path, line, value } of readRows(await resolveDataFiles(sources, baseDir, env))) {
      documents.push(toDocument(value, `${printable(path)}:${line}`))
    }
    if (documents.length === 0) {
      throw new DataError(
        'EMPTY_DATA',
        `task ${this.task.name}: expected at least one record in split "${printable(split)}", found none`,
      )
    }
    return documents
  }

  /** Says which file asks for a data set that cannot be had. */
  private async blamed(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof AdaptError)) throw error
      const message = `${this.task.placeOf(['dataset_path'])}: ${error.message}`
      throw new AdaptError(error.code, error.exitCode, message, error.context, { cause: error })
    }
  }

  private sourcesOf(split: string): { readonly sources: readonly DataSource[]; readonly baseDir: string } {
    const { folder, config, file } = this.task
    const { dataset_path: path, dataset_name: subset, dataset_kwargs: kwargs } = config
    const files = kwargs?.data_files
    const key = `${printable(file)}: dataset_kwargs.data_files`
    if (READERS.includes(path) || files !== undefined) {
      if (files === undefined)
        throw new ConfigError(
          'NO_DATA_FILES',
          `${key}: expected the files of dataset_path: ${path}, received none`,
        )
      const bySplit = isObject(files) ? files : { train: files }
      const own = bySplit[split]
      if (own === undefined) {
        const known = Object.keys(bySplit).join(', ')
        throw new ConfigError(
          'UNKNOWN_SPLIT',
          `${key}: expected files of split "${printable(split)}", received those of ${known}`,
        )
      }
      const baseDir = resolve(folder, kwargs?.data_dir ?? '.')
      return { sources: [own as string | string[]].flat().map((name) => ({ path: name })), baseDir }
    }
    const place = resolve(folder, path)
    if (kwargs?.data_dir !== undefined)
      throw new ConfigError(
        'NO_DATA_FILES',
        `${printable(file)}: dataset_kwargs.data_dir: expected it with data_files`,
      )
    if (!existsSync(place)) {
      const revised = kwargs?.revision === undefined ? path : `${path}@${kwargs.revision}`
      const wanted = { path: revised, split, defaultsToTrain: false }
      return { sources: [typeof subset === 'string' ? { ...wanted, subset } : wanted], baseDir: folder }
    }
    if (statSync(place).isFile()) return { sources: [{ path: place }], baseDir: folder }
    const names = filesBelow(place).map((name) => relative(place, name).split(sep).join('/'))
    const selection = { split, defaultsToTrain: false, ...(typeof subset === 'string' ? { subset } : {}) }
    const own = selectDataFiles(path, names, undefined, selection)
    return { sources: own.map((name) => ({ path: join(place, name) })), baseDir: folder }
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : [path]
  })
}

function toDocument(value: JsonValue, where: string): TaskDocument {
  const fields = value instanceof Map ? Object.fromEntries(value) : value
  if (!isObject(fields) || Array.isArray(fields)) {
    throw new DataError('BAD_RECORD', `${where}: expected an object with the fields of a document`)
  }
  return new RecordDocument(fields as Readonly<Record<string, JsonValue>>, where, value)
}

/** Makes its key when it is asked for: most documents of a large split never are. */
class RecordDocument implements TaskDocument {
  private made: string | undefined

  constructor(
    readonly fields: Readonly<Record<string, JsonValue>>,
    readonly where: string,
    private readonly value: JsonValue,
  ) {}

  get key(): string {
    this.made ??= JSON.stringify(this.value, plain)
    return this.made
  }
}

/** Values of JSON that `JSON.stringify` does not know. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Map ? [...value] : value
}
