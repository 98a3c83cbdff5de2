import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { fetchModel, resolveModelPath } from '../hub/index.js'
import {
  type CausalLM,
  describeMissingModel,
  hasWeights,
  isAdapterFolder,
  type LoadModelOptions,
  loadAdapterFolder,
  loadModelFolder,
  readAdapterConfig,
} from '../model/index.js'
import { type FetchReport, fetchBaseModel } from './fetch-models.js'

/**
 * The folder of a model that a key of the config names, with weights or an adapter in it.
 * @throws {ConfigError} NO_MODEL
 */
export function requireModelFolder(baseDir: string, path: string, key: string): string {
  const folder = resolveModelPath(baseDir, path)
  if (hasWeights(folder) || isAdapterFolder(folder)) return folder
  throw new ConfigError(
    'NO_MODEL',
    `${key}: expected the folder of a model, received ${printable(folder)}, which has no weights`,
  )
}

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
 * checkpoint, or a run (its model, else its newest checkpoint). Hub ids are fetched.
 *
 * @param model  Path relative to the working directory, or a hub id.
 * @param adapterName  PEFT folder or hub id to put on top of the model.
 * @throws {ConfigError} MODEL_NOT_FOUND, ADAPTER_NOT_FOUND. @throws what fetching throws.
 */
export async function locateModel(
  model: string,
  adapterName: string | undefined,
  report: FetchReport,
): Promise<ModelPlaces> {
  const workingDir = process.cwd()
  const folder = await fetchBaseModel(model, workingDir, report)
  const adapter =
    adapterName && (await fetchModel(workingDir, adapterName, { content: 'adapter', ...report }))
  const place = [folder, join(folder, 'model'), ...checkpointsOf(folder)].find(
    (candidate) => isAdapterFolder(candidate) || hasWeights(candidate),
  )
  if (place === undefined) {
    if (!existsSync(folder) || existsSync(join(folder, 'config.json')))
      throw new ConfigError('MODEL_NOT_FOUND', describeMissingModel(folder))
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(folder)}: expected a model folder, an adapter, a run or a checkpoint, found no *.safetensors with a config.json or adapter_config.json`,
    )
  }
  if (!isAdapterFolder(place)) {
    if (adapter !== undefined && !isAdapterFolder(adapter)) readAdapterConfig(adapter)
    return { model: place, adapter, tokenizer: tokenizerOf(adapter, place) }
  }
  if (adapter !== undefined) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(place)}: is an adapter itself; give the model underneath as --model, or one of the two alone`,
    )
  }
  const { baseModel } = readAdapterConfig(place)
  const base = baseModel && (await fetchBaseModel(baseModel, workingDir, report))
  if (!base || !hasWeights(base)) {
    const named =
      baseModel === undefined
        ? 'names no base model'
        : `was trained on ${printable(baseModel)}, which is not there`
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(place)}: the adapter ${named}; give the model as --model and this folder as --adapter`,
    )
  }
  return { model: base, adapter: place, tokenizer: tokenizerOf(place, base) }
}

/** The places with the tokenizer of another folder or hub id, where one is named. @throws what fetching throws. */
export async function withTokenizer(
  places: ModelPlaces,
  name: string | undefined,
  report: FetchReport,
): Promise<ModelPlaces> {
  if (name === undefined) return places
  return { ...places, tokenizer: await fetchModel(process.cwd(), name, { content: 'tokenizer', ...report }) }
}

/**
 * Loads what `locateModel` found. Caller disposes.
 * @throws {ConfigError} ADAPTER_DIFFERS, and what loading a model folder throws.
 */
export function loadModel({ model: folder, adapter }: ModelPlaces, options: LoadModelOptions = {}): CausalLM {
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

function tokenizerOf(adapter: string | undefined, model: string): string {
  return adapter !== undefined && existsSync(join(adapter, 'tokenizer.json')) ? adapter : model
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
