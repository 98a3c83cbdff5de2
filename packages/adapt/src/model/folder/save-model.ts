import { copyFileSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { itemBytes, type nn, writeSafetensors } from '@adapt-ts/torch'
import { additionalTemplates } from '../../chat-template/index.js'
import { makeFolder } from '../../dataset/make-folder.js'
import {
  CHAT_TEMPLATE_FOLDER,
  CONFIG_FILE,
  GENERATION_FILE,
  INDEX_FILE,
  TOKENIZER_FILES,
} from '../../hub/index.js'
import type { CausalLM } from '../decoder/causal-lm.js'
import { toHuggingFaceConfig } from '../dimensions/huggingface-config.js'
import { parseModelConfig } from '../dimensions/parse-model-config.js'
import { type JsonObject, readModelJson } from '../dimensions/read-model-json.js'
import type { ModelDType } from './load-model.js'
import { modelSource } from './model-source.js'
import { parseShardSize, planShards } from './shard-plan.js'
import { withStopTokens } from './stop-tokens.js'

/** dtype and files of a model folder, and what goes along. */
export interface SaveModelOptions {
  /** Folder whose tokenizer files are copied along. Default: that of the model, when it came from one. */
  readonly tokenizerFolder?: string | undefined
  /** Default: that of the parameters. */
  readonly dtype?: ModelDType | undefined
  /** Largest weight file: `5GB` (the default), `200MB`, or bytes. Larger models are written in shards with an index. */
  readonly maxShardSize?: number | string | undefined
  /** Special ids for the config of a model that was initialised here; a loaded one keeps its own. */
  readonly bosId?: number | undefined
  readonly eosId?: number | undefined
  readonly padId?: number | undefined
  /** Tokens at which an answer ends; the generation config gets those that it lacks. */
  readonly stopIds?: readonly number[] | undefined
}

/**
 * Writes a folder that transformers, vLLM and the llama.cpp converters load. Tensors are converted and written one after
 * the other, so the weights are never held twice. A model that came from a folder keeps all keys of its config.json but
 * those that changed, its generation_config.json, and its tokenizer unless another is given.
 * @throws {ConfigError} BAD_SHARD_SIZE
 */
export function saveModelFolder(model: CausalLM, folder: string, options: SaveModelOptions = {}): void {
  const { maxShardSize = '5GB' } = options
  const maxBytes = parseShardSize(maxShardSize)
  const dtype = options.dtype ?? (model.headWeight.dtype === 'bfloat16' ? 'bfloat16' : 'float32')
  makeFolder(folder)
  writeWeights(new Map(model.namedParameters()), folder, dtype, maxBytes)
  const source = modelSource(model)
  const config = source
    ? changedConfig(model, source.config, dtype)
    : toHuggingFaceConfig(model.config, { ...options, dtype })
  writeJson(join(folder, CONFIG_FILE), config)
  const tokenizerFolder = options.tokenizerFolder ?? source?.folder
  const original =
    source?.generationConfig ?? (tokenizerFolder && readModelJson(join(tokenizerFolder, GENERATION_FILE)))
  writeGenerationConfig(folder, withStopTokens(original || undefined, config, options.stopIds ?? []))
  if (tokenizerFolder !== undefined) copyTokenizerFiles(tokenizerFolder, folder)
}

/** Writes generation_config.json, where there is something to be written. */
export function writeGenerationConfig(folder: string, generation: JsonObject | undefined): void {
  if (generation !== undefined) writeJson(join(folder, GENERATION_FILE), generation)
}

function writeWeights(
  tensors: ReadonlyMap<string, nn.Parameter>,
  folder: string,
  dtype: ModelDType,
  maxBytes: number,
): void {
  const sizes = new Map(Array.from(tensors, ([name, { numel }]) => [name, numel * itemBytes(dtype)]))
  const { files, totalBytes } = planShards(sizes, maxBytes)
  for (const [file, names] of files) {
    const part = new Map(names.map((name) => [name, tensors.get(name)!]))
    writeSafetensors(join(folder, file), part, { format: 'pt' }, { dtype })
  }
  const written = new Set(files.keys())
  if (files.size > 1) {
    written.add(INDEX_FILE)
    const pairs = Array.from(files, ([file, names]) => names.map((name) => [name, file] as const)).flat()
    writeJson(join(folder, INDEX_FILE), {
      metadata: { total_parameters: totalBytes / itemBytes(dtype), total_size: totalBytes },
      weight_map: Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1))),
    })
  }
  // Weights of an earlier model in the same folder would be read instead of these.
  for (const name of readdirSync(folder)) {
    const isOfModel = /^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name) || name === INDEX_FILE
    if (isOfModel && !written.has(name)) rmSync(join(folder, name))
  }
}

/** The original config.json with the keys that this model has otherwise. */
function changedConfig(model: CausalLM, original: JsonObject, dtype: ModelDType): JsonObject {
  const before = toHuggingFaceConfig(parseModelConfig(original, CONFIG_FILE), { dtype })
  const now = toHuggingFaceConfig(model.config, { dtype })
  const changed = Object.entries(now).filter(([key, value]) => !isDeepStrictEqual(value, before[key]))
  // transformers 5 writes `dtype`, older ones `torch_dtype`.
  const spelled = ['dtype', 'torch_dtype'].filter((key) => original[key] !== undefined)
  const dtypes = (spelled.length > 0 ? spelled : ['torch_dtype']).map((key) => [key, dtype])
  return { ...original, ...Object.fromEntries(changed), ...Object.fromEntries(dtypes) }
}

/** Copies the files of a tokenizer, those that are there. */
export function copyTokenizerFiles(from: string, to: string): void {
  if (resolve(from) === resolve(to)) return
  for (const name of TOKENIZER_FILES) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name))
  }
  for (const name of additionalTemplates(from)) {
    makeFolder(join(to, CHAT_TEMPLATE_FOLDER))
    copyFileSync(join(from, CHAT_TEMPLATE_FOLDER, name), join(to, CHAT_TEMPLATE_FOLDER, name))
  }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}
