import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  copy_,
  type DType,
  noGrad,
  SafetensorsFile,
  scope,
  type Tensor,
  toDType,
  writeSafetensors,
} from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import { CausalLM } from './causal-lm.js'
import { toHuggingFaceConfig } from './huggingface-config.js'
import { countParameters, type ModelConfig } from './model-config.js'
import { parseModelConfig } from './parse-model-config.js'
import { readJsonObject } from './read-json-object.js'

/** Files that would run code or hide weights; named so that the user knows why nothing was loaded. */
const REFUSED = ['pytorch_model.bin', 'pytorch_model.bin.index.json', 'model.safetensors.index.json']

/** Tokenizer files that travel with a model. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'generation_config.json',
]

function readConfigJson(path: string): Record<string, unknown> {
  if (!existsSync(path))
    throw new ConfigError('MODEL_NOT_FOUND', `${path}: no such file; expected a Hugging Face model folder`)
  return readJsonObject(path)
}

/** Names that only one side has, a few of each. */
function describeMismatch(expected: ReadonlySet<string>, found: ReadonlySet<string>): string | undefined {
  const few = (names: string[]) =>
    `${names.slice(0, 4).join(', ')}${names.length > 4 ? `, ... (${names.length})` : ''}`
  const missing = [...expected].filter((name) => !found.has(name))
  const extra = [...found].filter((name) => !expected.has(name))
  const parts = [
    ...(missing.length ? [`missing ${few(missing)}`] : []),
    ...(extra.length ? [`unexpected ${few(extra)}`] : []),
  ]
  return parts.length ? parts.join('; ') : undefined
}

/** Refuses sizes far beyond the weights that are there, before a hostile config makes the model allocate them. */
function requireRoomFor(config: ModelConfig, file: SafetensorsFile): void {
  const numStored = file.names.reduce(
    (sum, name) => sum + file.entry(name)!.shape.reduce((product, size) => product * size, 1),
    0,
  )
  const { total } = countParameters(config)
  if (total <= 2 * numStored) return
  throw new ConfigError(
    'SHAPES_DIFFER',
    `${file.path}: config.json describes ${total} parameters, the file holds ${numStored}`,
  )
}

/** How weights lie in memory. */
export interface LoadModelOptions {
  /** auto: as stored. Default float32. */
  readonly dtype?: 'float32' | 'bfloat16' | 'auto'
}

/**
 * Loads a Hugging Face folder (config.json and model.safetensors) of a LlamaForCausalLM. Weights become float32
 * parameters. Keys must match exactly.
 * @throws {ConfigError} when the folder, its architecture or its keys do not fit; SafetensorsError when damaged.
 */
export function loadModelFolder(folder: string, { dtype = 'float32' }: LoadModelOptions = {}): CausalLM {
  const config = parseModelConfig(readConfigJson(join(folder, 'config.json')), join(folder, 'config.json'))
  const path = join(folder, 'model.safetensors')
  if (!existsSync(path)) {
    const refused = REFUSED.find((name) => existsSync(join(folder, name)))
    const hint = refused ? `; ${refused} is there, but only a single model.safetensors is read` : ''
    throw new ConfigError('MODEL_NOT_FOUND', `${path}: no such file${hint}`)
  }
  using file = new SafetensorsFile(path)
  requireRoomFor(config, file)
  const model = new CausalLM(config)
  const parameters = new Map(model.namedParameters())
  const found = new Set(file.names)
  // Some writers store a tied head a second time.
  if (config.tieWordEmbeddings) found.delete('lm_head.weight')
  const mismatch = describeMismatch(new Set(parameters.keys()), found)
  if (mismatch) {
    model.dispose()
    throw new ConfigError('KEYS_DIFFER', `${path}: tensors do not fit config.json: ${mismatch}`)
  }
  noGrad(() => {
    for (const [name, parameter] of parameters) {
      const entry = file.entry(name)!
      const shape = parameter.shape
      if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
        model.dispose()
        throw new ConfigError(
          'SHAPES_DIFFER',
          `${path}: ${name} is [${entry.shape}], config.json says [${shape}]`,
        )
      }
      if (entry.dtype === 'float32') file.readInto(name, parameter)
      else scope(() => void copy_(parameter, file.read(name)))
    }
  })
  if (dtype === 'bfloat16') model.to({ dtype })
  return model
}

/** dtype, tokenizer and special ids of a model folder. */
export interface SaveModelOptions {
  /** Folder whose tokenizer files are copied along. */
  readonly tokenizerFolder?: string | undefined
  readonly dtype?: Extract<DType, 'float32' | 'bfloat16'>
  readonly bosId?: number | undefined
  readonly eosId?: number | undefined
  readonly padId?: number | undefined
}

/** Writes a folder that transformers, vLLM and the llama.cpp converters load. */
export function saveModelFolder(model: CausalLM, folder: string, options: SaveModelOptions = {}): void {
  const { dtype = 'float32', tokenizerFolder } = options
  mkdirSync(folder, { recursive: true })
  scope(() => {
    const tensors = new Map<string, Tensor>()
    for (const [name, parameter] of model.namedParameters())
      tensors.set(name, dtype === 'float32' ? parameter : toDType(parameter, dtype))
    writeSafetensors(join(folder, 'model.safetensors'), tensors)
  })
  writeFileSync(
    join(folder, 'config.json'),
    `${JSON.stringify(toHuggingFaceConfig(model.config, { ...options, dtype }), null, 2)}\n`,
  )
  if (tokenizerFolder !== undefined) copyTokenizerFiles(tokenizerFolder, folder)
}

/** Copies the files that travel with a model, those that are there. */
export function copyTokenizerFiles(from: string, to: string): void {
  for (const name of TOKENIZER_FILES) {
    const source = join(from, name)
    if (existsSync(source)) copyFileSync(source, join(to, name))
  }
}
