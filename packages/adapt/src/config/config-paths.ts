import { isAbsolute, resolve } from 'node:path'
import type { DataSource } from '../dataset/index.js'
import type { RunConfig } from './run-config.js'

/** A path of the config as an absolute path; `output_dir` is resolved against the working directory instead. */
export function resolveConfigPath(baseDir: string, path: string): string {
  return isAbsolute(path) ? path : resolve(baseDir, path)
}

/** Folder of the token cache: `data.cache_dir`, else `.adapt-cache` in the working directory. Absolute. */
export function resolveCacheDir(config: RunConfig, baseDir: string): string {
  const { cache_dir } = config.data
  return cache_dir === undefined ? resolve('.adapt-cache') : resolveConfigPath(baseDir, cache_dir)
}

/**
 * Entries of `data.train`, `anchors` or `evaluation.sets` as sources. The name of a set is its source, and so is the
 * task of anchors.
 */
export function dataSources(entries: Entries): readonly DataSource[] {
  return entries.map((entry) => {
    const { path, limit, source, name, task, weight, split, subset } = entry as AnyEntry
    const { text_field, messages_field, source_field, columns } = entry as AnyEntry
    const shownSource = task ?? source ?? name
    const named = { ...columns, ...(messages_field === undefined ? {} : { messages: messages_field }) }
    return {
      path,
      ...(limit === undefined ? {} : { limit }),
      ...(shownSource === undefined ? {} : { source: shownSource }),
      ...(source_field === undefined ? {} : { sourceField: source_field }),
      ...(text_field === undefined ? {} : { textField: text_field }),
      ...(Object.keys(named).length === 0 ? {} : { columns: named }),
      ...(weight === undefined ? {} : { weight }),
      ...(split === undefined ? {} : { split }),
      ...(subset === undefined ? {} : { subset }),
    }
  })
}

type Entries = RunConfig['data']['train'] | RunConfig['anchors'] | RunConfig['evaluation']['sets']

/** Sources of what measures: a split of the hub that is not named is never the one of training. */
export function evaluationSources({ evaluation }: RunConfig): readonly DataSource[] {
  return dataSources(evaluation.sets).map((source) => ({ ...source, defaultsToTrain: false }))
}

/** Everything that a config reads documents from. */
export function allSources(config: RunConfig): readonly DataSource[] {
  return [...dataSources(config.data.train), ...dataSources(config.anchors), ...evaluationSources(config)]
}

interface AnyEntry {
  readonly path: string
  readonly limit?: number
  readonly source?: string
  readonly name?: string
  readonly task?: string
  readonly source_field?: string | null
  readonly text_field?: string
  readonly messages_field?: string
  readonly columns?: Readonly<Record<string, string>>
  readonly weight?: number
  readonly split?: string
  readonly subset?: string
}
