import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import {
  type CausalLM,
  isAdapterFolder,
  type LoadModelOptions,
  loadAdapterFolder,
  loadModelFolder,
  readAdapterConfig,
} from '../model/index.js'

/** Where a model's weights and files lie. */
export interface ModelPlaces {
  /** Folder of the weights that a model begins with. */
  readonly model: string
  /** PEFT folder that goes on top. */
  readonly adapter: string | undefined
  /** Folder of the tokenizer: the adapter's own, else the model's. */
  readonly tokenizer: string
}

/**
 * Finds a model in what a user may name: a Hugging Face folder, a PEFT adapter folder (its base is read from it), a
 * checkpoint, or a run (its model, else its newest checkpoint).
 *
 * @param folder  Relative to the working directory.
 * @param adapter  PEFT folder to put on top of the model.
 * @throws {ConfigError} MODEL_NOT_FOUND, ADAPTER_NOT_FOUND.
 */
export function locateModel(folder: string, adapter?: string): ModelPlaces {
  const place = [folder, join(folder, 'model'), ...checkpointsOf(folder)].find(
    (candidate) => isAdapterFolder(candidate) || hasWeights(candidate),
  )
  if (place === undefined) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(folder)}: expected a model folder, an adapter, a run or a checkpoint, found no *.safetensors with a config.json or adapter_config.json`,
    )
  }
  if (!isAdapterFolder(place)) {
    if (adapter !== undefined && !isAdapterFolder(adapter)) readAdapterConfig(adapter)
    return { model: place, adapter, tokenizer: withTokenizer(adapter, place) }
  }
  if (adapter !== undefined) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(place)}: is an adapter itself; give the model underneath as --model, or one of the two alone`,
    )
  }
  const { baseModel } = readAdapterConfig(place)
  if (baseModel === undefined || !hasWeights(resolve(baseModel))) {
    const named =
      baseModel === undefined
        ? 'names no base model'
        : `was trained on ${printable(baseModel)}, which is not there`
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(place)}: the adapter ${named}; give the model as --model and this folder as --adapter`,
    )
  }
  return { model: resolve(baseModel), adapter: place, tokenizer: withTokenizer(place, resolve(baseModel)) }
}

/**
 * Loads what `locateModel` found. Caller disposes.
 * @throws {ConfigError} ADAPTER_DIFFERS, and what loading a model folder throws.
 */
export function openModel({ model: folder, adapter }: ModelPlaces, options: LoadModelOptions = {}): CausalLM {
  const model = loadModelFolder(folder, options)
  if (adapter === undefined) return model
  try {
    loadAdapterFolder(model, adapter)
    return model
  } catch (error) {
    model.dispose()
    throw error
  }
}

function withTokenizer(adapter: string | undefined, model: string): string {
  return adapter !== undefined && existsSync(join(adapter, 'tokenizer.json')) ? adapter : model
}

function hasWeights(folder: string): boolean {
  return ['model.safetensors', 'model.safetensors.index.json'].some((name) => existsSync(join(folder, name)))
}

/** Newest first. */
function checkpointsOf(run: string): string[] {
  const folder = join(run, 'checkpoints')
  if (!existsSync(folder)) return []
  const stepOf = (name: string) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? -1)
  return readdirSync(folder)
    .filter((name) => stepOf(name) >= 0)
    .sort((a, b) => stepOf(b) - stepOf(a))
    .map((name) => join(folder, name))
}
