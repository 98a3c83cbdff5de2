import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isFloating, type SafetensorsFile, type Tensor, writeSafetensors } from '@adapt-ts/torch'
import { makeFolder } from '../../dataset/make-folder.js'
import { ConfigError } from '../../errors.js'
import type { CausalLM } from '../decoder/causal-lm.js'
import { namedProjections } from '../decoder/named-projections.js'
import { readModelJson } from '../dimensions/read-model-json.js'
import { openTensorFile } from '../folder/weight-files.js'
import { parseAdapterConfig, readBaseModel, readLayerChoice, toAdapterConfig } from './adapter-config.js'
import { attachAdapters, choosesLayers } from './add-lora.js'
import type { LoraConfig } from './lora-config.js'
import { chosenNames, type LayerChoice } from './target-modules.js'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

/** PEFT's name of a matrix: its wrapper and the wrapper's model stand before the module's own name. */
const storedName = (module: string, matrix: 'A' | 'B') => `base_model.model.${module}.lora_${matrix}.weight`
const STORED_NAME = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/

/** Whether a folder holds a PEFT adapter. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, CONFIG))
}

/**
 * What a PEFT folder says about itself, without its weights.
 * @throws {ConfigError} ADAPTER_NOT_FOUND, UNSUPPORTED_ADAPTER, BAD_LORA. @throws {HostileFileError} for damaged JSON.
 */
export function readAdapterConfig(folder: string): {
  readonly config: LoraConfig
  /** Folder or hub id of the model underneath, as it was called where the adapter was trained. */
  readonly baseModel: string | undefined
  readonly choice: LayerChoice
} {
  const path = join(folder, CONFIG)
  const json = readModelJson(path)
  if (json === undefined) {
    throw new ConfigError(
      'ADAPTER_NOT_FOUND',
      `${folder}: expected a PEFT adapter folder, found no ${CONFIG} in it`,
    )
  }
  const config = parseAdapterConfig(json, path)
  return { config, baseModel: readBaseModel(json), choice: readLayerChoice(json, config, path) }
}

/**
 * Writes `adapter_config.json` and `adapter_model.safetensors` (float32) as PEFT does.
 * @throws {ConfigError} BAD_LORA for a model without adapters.
 */
export function saveAdapterFolder(
  model: CausalLM,
  folder: string,
  { baseModel }: { readonly baseModel?: string | undefined } = {},
): void {
  if (model.lora === undefined) throw new ConfigError('BAD_LORA', 'the model has no adapter to save')
  makeFolder(folder)
  const tensors = new Map<string, Tensor>()
  const adapted: string[] = []
  for (const [name, { lora }] of namedProjections(model)) {
    if (!lora) continue
    adapted.push(name)
    tensors.set(storedName(name, 'A'), lora.A)
    tensors.set(storedName(name, 'B'), lora.B)
  }
  writeSafetensors(join(folder, WEIGHTS), tensors)
  const json = toAdapterConfig(model.lora, adapted, baseModel)
  writeFileSync(join(folder, CONFIG), `${JSON.stringify(json, null, 2)}\n`)
}

/**
 * Freezes a model and puts a PEFT adapter beside its layers; the adapter can be trained on.
 * @throws {ConfigError} ADAPTER_NOT_FOUND, UNSUPPORTED_ADAPTER, BAD_LORA, ADAPTER_DIFFERS when it was made for another
 *   model. @throws {HostileFileError} for a damaged file.
 */
export function loadAdapterFolder(model: CausalLM, folder: string): void {
  const { config, choice } = readAdapterConfig(folder)
  const path = join(folder, WEIGHTS)
  if (!existsSync(path)) {
    const hint = existsSync(join(folder, 'adapter_model.bin'))
      ? '; adapter_model.bin is there, but pickled weights can run code: save it again with safe_serialization=True'
      : ''
    throw new ConfigError('ADAPTER_NOT_FOUND', `${path}: no such file${hint}`)
  }
  using file = openTensorFile(path)
  const projections = new Map(namedProjections(model))
  const targets = new Set<string>()
  for (const name of file.names) {
    const module = STORED_NAME.exec(name)?.[1]
    if (module === undefined || !projections.has(module)) {
      throw new ConfigError(
        'ADAPTER_DIFFERS',
        `${path}: tensor ${JSON.stringify(name)} belongs to no linear layer of this model`,
      )
    }
    targets.add(module)
  }
  // Shapes are judged before anything is attached: the model stays as it is when the adapter does not fit.
  for (const module of targets) {
    const [outFeatures, inFeatures] = projections.get(module)!.weight.shape as [number, number]
    requireShape(file, storedName(module, 'A'), [config.r, inFeatures])
    requireShape(file, storedName(module, 'B'), [outFeatures, config.r])
  }
  if (targets.size === 0) throw new ConfigError('ADAPTER_DIFFERS', `${path}: holds no adapter`)
  requireChoice([...projections.keys()], choice, targets, path)
  // Keys that narrow the choice, such as layers_to_transform, are not kept: then the layers are named one by one.
  const isWholeChoice = choosesLayers(model, config.targetModules, targets)
  attachAdapters(model, isWholeChoice ? config : { ...config, targetModules: [...targets].sort() }, targets)
  readAdapters(model, file)
}

/**
 * Fills the adapters that a model has from a folder that `saveAdapterFolder` wrote of them.
 * @throws {TorchError} NO_SUCH_TENSOR, SHAPE_MISMATCH where they are others.
 */
export function fillAdapters(model: CausalLM, folder: string): void {
  using file = openTensorFile(join(folder, WEIGHTS))
  readAdapters(model, file)
}

function readAdapters(model: CausalLM, file: SafetensorsFile): void {
  for (const [name, { lora }] of namedProjections(model)) {
    if (!lora) continue
    file.readInto(storedName(name, 'A'), lora.A, { convert: true })
    file.readInto(storedName(name, 'B'), lora.B, { convert: true })
  }
}

/** PEFT passes over weights of a layer that its config does not choose, and leaves a chosen layer without weights as it was. */
function requireChoice(
  names: readonly string[],
  choice: LayerChoice,
  stored: ReadonlySet<string>,
  path: string,
): void {
  const chosen = chosenNames(names, choice)
  if (chosen === undefined) return
  const other = names.find((name) => stored.has(name) !== chosen.includes(name))
  if (other === undefined) return
  const said = stored.has(other) ? 'has an adapter in it' : 'has no adapter in it'
  const but = chosen.includes(other) ? 'chooses it' : 'does not choose it'
  throw new ConfigError(
    'ADAPTER_DIFFERS',
    `${path}: ${other} ${said}, but ${CONFIG} ${but} (target_modules, exclude_modules, layers_to_transform); fetch or save both again`,
  )
}

function requireShape(file: SafetensorsFile, name: string, shape: readonly number[]): void {
  const entry = file.entry(name)
  const found = entry?.shape
  const isFitting = found?.length === shape.length && shape.every((size, i) => size === found[i])
  if (isFitting && isFloating(entry!.dtype)) return
  throw new ConfigError(
    'ADAPTER_DIFFERS',
    `${file.path}: ${name}: expected [${shape}] of floating-point numbers for this model and adapter_config.json, found ${entry ? `${entry.dtype} [${found}]` : 'none'}`,
  )
}
