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
export function dataSources(
  entries: RunConfig['data']['train'] | RunConfig['anchors'] | RunConfig['evaluation']['sets'],
): readonly DataSource[] {
  return entries.map((entry) => {
    const { path, limit, source, name, task, text_field, weight } = entry as AnyEntry
    const shownSource = task ?? source ?? name
    return {
      path,
      ...(limit === undefined ? {} : { limit }),
      ...(shownSource === undefined ? {} : { source: shownSource }),
      ...(text_field === undefined ? {} : { textField: text_field }),
      ...(weight === undefined ? {} : { weight }),
    }
  })
}

interface AnyEntry {
  readonly path: string
  readonly limit?: number
  readonly source?: string
  readonly name?: string
  readonly task?: string
  readonly text_field?: string
  readonly weight?: number
}
