import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type LoadedConfig, loadConfig } from '../config/index.js'
import { isObject } from '../dataset/index.js'
import { readRegular } from '../dataset/regular-file.js'
import type { ModelPlaces } from './locate-model.js'

/** The folder of the run that a model came from. */
export function runOfModel({ model, adapter }: ModelPlaces): string | undefined {
  const place = adapter ?? model
  // <run>/model and <run>/checkpoints/step-N.
  return [dirname(place), dirname(dirname(place))].find(
    (candidate) => existsSync(join(candidate, 'config.yaml')) && existsSync(join(candidate, 'run.json')),
  )
}

/**
 * A config by its file, or by the folder of a run: relative paths of its data then start where those of the run did.
 * @throws what `loadConfig` throws.
 */
export async function loadConfigOf(path: string): Promise<Pick<LoadedConfig, 'config' | 'baseDir'>> {
  if (!existsSync(path) || !statSync(path).isDirectory()) return await loadConfig(path)
  const { config } = await loadConfig(join(path, 'config.yaml'))
  return { config, baseDir: baseDirOf(path) }
}

/** Runs of older versions do not say; theirs was the working directory more often than not. */
function baseDirOf(folder: string): string {
  try {
    const provenance: unknown = JSON.parse(readRegular(join(folder, 'provenance.json')).toString('utf8'))
    return isObject(provenance) && typeof provenance.base_dir === 'string' ? provenance.base_dir : '.'
  } catch {
    return '.'
  }
}
