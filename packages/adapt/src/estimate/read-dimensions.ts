import { join } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { CONFIG_FILE, findModelPlace } from '../hub/index.js'
import { toCamelCase } from '../method/option-names.js'
import type { ModelConfig } from '../model/dimensions/model-config.js'
import { parseModelConfig } from '../model/dimensions/parse-model-config.js'
import { readModelJson } from '../model/dimensions/read-model-json.js'
import { describeMissingModel, refuseForeignConfig } from '../model/dimensions/refuse-model.js'
import { resolveDimensions } from '../model/dimensions/resolve-dimensions.js'
import { loadTokenizer } from '../tokenize/index.js'

/** What a model is like, without its weights. */
export interface Dimensions {
  readonly model: string
  readonly config: ModelConfig
  /** Bytes of a weight as the model is stored, when config.json says so. */
  readonly storedBytes: 2 | 4
}

/**
 * Dimensions of the model of a config, from the preset or its config.json; nothing is fetched.
 * @throws {ConfigError} MODEL_NOT_FOUND, UNSUPPORTED_MODEL.
 */
export function readDimensions(
  { model, tokenizer }: Pick<RunConfig, 'model' | 'tokenizer'>,
  baseDir: string,
): Dimensions {
  if ('init' in model) {
    const vocabulary =
      model.config?.vocab_size ?? loadTokenizer(requireFolder(baseDir, tokenizer, 'tokenizer')).vocabSize
    const changes = Object.entries({ vocab_size: vocabulary, ...model.config })
    const overrides = Object.fromEntries(changes.map(([key, value]) => [toCamelCase(key), value]))
    return {
      model: `scratch, ${model.preset}`,
      config: resolveDimensions(model.preset, overrides),
      storedBytes: 4,
    }
  }
  const folder = requireFolder(baseDir, model.path, 'model.path')
  const path = join(folder, CONFIG_FILE)
  const json = readModelJson(path)
  if (json === undefined) throw new ConfigError('MODEL_NOT_FOUND', describeMissingModel(folder))
  refuseForeignConfig(json, printable(path))
  const dtype = json.dtype ?? json.torch_dtype
  return {
    model: printable(model.path),
    config: parseModelConfig(json, printable(path)),
    storedBytes: dtype === 'bfloat16' || dtype === 'float16' ? 2 : 4,
  }
}

/** The folder of a path or of a cached hub id: nothing is fetched for an estimate. @throws {ConfigError} MODEL_NOT_FOUND */
export function requireFolder(baseDir: string, text: string, key: string): string {
  const { folder } = findModelPlace(baseDir, text)
  if (folder !== undefined) return folder
  throw new ConfigError(
    'MODEL_NOT_FOUND',
    `${key}: ${printable(text)} is not in the cache of hub models, and an estimate fetches nothing; give a folder with its config.json`,
  )
}
