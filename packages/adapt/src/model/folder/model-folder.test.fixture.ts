import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AdaptError } from '../../errors.js'
import { INDEX_FILE } from '../../hub/index.js'
import type { ModelConfig } from '../dimensions/model-config.js'
import { createTinyLlama, parameterValues } from '../tiny-llama.test.fixture.js'
import { type LoadModelOptions, loadModelFolder } from './load-model.js'
import { type SaveModelOptions, saveModelFolder } from './save-model.js'

/** Model folders of tiny random models under a temporary folder. */
export class ModelShelf {
  readonly root = mkdtempSync(join(tmpdir(), 'adapt-model-'))
  private count = 0

  remove(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  /** A new empty folder. */
  folder(): string {
    const path = join(this.root, `folder-${++this.count}`)
    mkdirSync(path)
    return path
  }

  /** A folder with a tiny model. */
  save(options: SaveModelOptions = {}, config: Partial<ModelConfig> = {}): string {
    const folder = this.folder()
    const model = createTinyLlama(config)
    saveModelFolder(model, folder, options)
    model.dispose()
    return folder
  }

  /** A folder with a tiny model in several shards, and their names. */
  saveShards(options: SaveModelOptions = {}): { folder: string; shards: string[] } {
    const folder = this.save({ maxShardSize: 3000, ...options })
    return { folder, shards: readdirSync(folder).filter((name) => name.startsWith('model-')) }
  }
}

/** The parameters of a folder, by name. */
export function loadValues(folder: string, options: LoadModelOptions = {}): Map<string, Float32Array> {
  const model = loadModelFolder(folder, options)
  try {
    return parameterValues(model)
  } finally {
    model.dispose()
  }
}

/** What loading a folder throws. */
export function loadError(folder: string): AdaptError {
  try {
    loadModelFolder(folder).dispose()
  } catch (error) {
    if (error instanceof AdaptError) return error
    throw error
  }
  throw new Error('the folder was loaded')
}

export function readJson<T = Record<string, unknown>>(folder: string, name: string): T {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T
}

export function editJson(folder: string, name: string, change: Record<string, unknown>): void {
  writeFileSync(join(folder, name), JSON.stringify({ ...readJson(folder, name), ...change }))
}

/** What an index file holds. */
export interface IndexJson {
  metadata: { total_parameters: number; total_size: number }
  weight_map: Record<string, string>
}

export const readIndex = (folder: string) => readJson<IndexJson>(folder, INDEX_FILE)
