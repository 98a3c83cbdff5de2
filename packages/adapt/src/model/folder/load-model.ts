import { join, resolve } from 'node:path'
import { type Device, type DType, isFloating, nn, noGrad, type SafetensorsEntry } from '@adapt-ts/torch'
import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import { CONFIG_FILE, GENERATION_FILE } from '../../hub/index.js'
import { CausalLM } from '../decoder/causal-lm.js'
import { inverseFrequencies } from '../decoder/rope-scaling.js'
import { describeMismatch, type Shapes } from '../dimensions/describe-mismatch.js'
import { countParameters, type ModelConfig } from '../dimensions/model-config.js'
import { parseModelConfig } from '../dimensions/parse-model-config.js'
import { type JsonObject, readModelJson } from '../dimensions/read-model-json.js'
import { describeMissingModel, refuseForeignConfig } from '../dimensions/refuse-model.js'
import { rememberSource } from './model-source.js'
import { WeightFiles } from './weight-files.js'

/** dtypes of parameters that a model can be loaded in. */
export type ModelDType = Extract<DType, 'float32' | 'bfloat16'>

/** How a model folder is loaded. */
export interface LoadModelOptions {
  /** dtype of the parameters; `auto` is that of most weights in the files, float32 for float16. Default float32. */
  readonly dtype?: ModelDType | 'auto' | undefined
  /** Default: that of `withParameterDefaults`, else the CPU. */
  readonly device?: Device | undefined
  /** Default true; false for a base that stays as it is. */
  readonly requiresGrad?: boolean | undefined
}

/**
 * The dimensions of a model folder, from config.json alone.
 * @throws {ConfigError} MODEL_NOT_FOUND, UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_MODEL, BAD_MODEL_CONFIG.
 * @throws {HostileFileError} BAD_MODEL_CONFIG
 */
export function readModelConfig(folder: string): { readonly config: ModelConfig; readonly json: JsonObject } {
  const path = join(folder, CONFIG_FILE)
  const json = readModelJson(path)
  if (json === undefined) throw new ConfigError('MODEL_NOT_FOUND', describeMissingModel(folder))
  const where = printable(path)
  refuseForeignConfig(json, where)
  return { config: parseModelConfig(json, where), json }
}

/**
 * Loads a Hugging Face folder: config.json and model.safetensors, or its index and shards. The parameters are made in
 * their dtype and read straight from the files, so that loading needs hardly more memory than the weights. Names and
 * shapes must be exactly those that config.json asks for.
 * @returns The model; caller disposes (`using`).
 * @throws {ConfigError} MODEL_NOT_FOUND, UNSUPPORTED_ARCHITECTURE, UNSUPPORTED_MODEL, KEYS_DIFFER, SHAPES_DIFFER.
 * @throws {HostileFileError} BAD_MODEL_CONFIG, BAD_SHARDS, and codes that begin with SAFETENSORS_.
 * @example
 * using model = loadModelFolder('SmolLM-135M', { dtype: 'bfloat16', requiresGrad: false })
 */
export function loadModelFolder(folder: string, options: LoadModelOptions = {}): CausalLM {
  const read = readModelConfig(folder)
  const { json } = read
  using weights = WeightFiles.open(folder)
  const entries = new Map(weights.names.map((name) => [name, weights.entry(name)] as const))
  requireRoomFor(read.config, entries, weights.path)
  const { config, storedName } = resolveHead(read.config, weights)
  const { dtype = 'float32', device, requiresGrad = true } = options
  const model = nn.withParameterDefaults(
    // Nothing is filled: the comparison below makes sure that the files hold every parameter.
    { dtype: dtype === 'auto' ? storedDType(entries) : dtype, device, requiresGrad, fill: false },
    () => new CausalLM(config),
  )
  try {
    const found = withoutDerived(entries, config, storedName, weights)
    requireSameTensors(model, found, json, weights.path)
    noGrad(() => {
      for (const [name, parameter] of model.namedParameters()) weights.readInto(storedName(name), parameter)
    })
    const generationConfig = readModelJson(join(folder, GENERATION_FILE))
    rememberSource(model, { folder: resolve(folder), config: json, generationConfig })
    return model
  } catch (error) {
    model.dispose()
    throw error
  }
}

type Entries = ReadonlyMap<string, SafetensorsEntry>

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

/** Refuses sizes far beyond the weights that are there, before a hostile config makes the model allocate them. */
function requireRoomFor(config: ModelConfig, entries: Entries, path: string): void {
  let numStored = 0
  for (const { shape } of entries.values()) numStored += sizeOf(shape)
  const { total } = countParameters(config)
  if (total <= 2 * numStored) return
  throw new ConfigError(
    'SHAPES_DIFFER',
    `${printable(path)}: config.json describes ${total} parameters, the weights are ${numStored}`,
  )
}

/** The dtype that most elements are stored in. */
function storedDType(entries: Entries): ModelDType {
  const counts = { float32: 0, bfloat16: 0 }
  for (const { dtype, shape } of entries.values())
    counts[dtype === 'bfloat16' ? 'bfloat16' : 'float32'] += sizeOf(shape)
  return counts.bfloat16 > counts.float32 ? 'bfloat16' : 'float32'
}

const EMBEDDING = 'model.embed_tokens.weight'
const HEAD = 'lm_head.weight'

/**
 * What the weights say of a tied head, by the rule of transformers: one that is stored too and differs is a head of its own,
 * and a table that is stored under the head's name only is the embedding as well.
 */
function resolveHead(
  config: ModelConfig,
  weights: WeightFiles,
): { readonly config: ModelConfig; readonly storedName: (name: string) => string } {
  const storedName = (name: string) => name
  const names = new Set(weights.names)
  if (!config.tieWordEmbeddings || !names.has(HEAD)) return { config, storedName }
  if (!names.has(EMBEDDING)) return { config, storedName: (name) => (name === EMBEDDING ? HEAD : name) }
  if (weights.isSame(HEAD, EMBEDDING)) return { config, storedName }
  return { config: { ...config, tieWordEmbeddings: false }, storedName }
}

/**
 * Shapes of the stored tensors by the name of their parameter, without those that hold nothing of their own: the copy of a tied
 * head, and rotary frequencies, which old programs stored.
 * @throws {ConfigError} UNSUPPORTED_MODEL when such frequencies are not those that config.json means.
 */
function withoutDerived(
  entries: Entries,
  config: ModelConfig,
  storedName: (name: string) => string,
  weights: WeightFiles,
): Entries {
  const found = new Map(entries)
  if (config.tieWordEmbeddings && found.has(HEAD)) {
    found.set(EMBEDDING, found.get(storedName(EMBEDDING))!)
    found.delete(HEAD)
  }
  for (const name of entries.keys()) {
    if (!/(^|\.)rotary_emb\.inv_freq$/.test(name)) continue
    const stored = weights.floats(name)
    const { ropeScaling: _, ...plain } = config
    // Old programs stored them unscaled, at times in 16 bits.
    const isOurs = [config, plain].some((meant) => isNear(stored, inverseFrequencies(meant)))
    if (!isOurs) {
      throw new ConfigError(
        'UNSUPPORTED_MODEL',
        `${printable(weights.path)}: ${printable(name)} holds other frequencies than rope_theta ${config.ropeTheta} of ` +
          'config.json gives; correct config.json, or remove the tensor if config.json is right',
      )
    }
    found.delete(name)
  }
  return found
}

/** Equal but for the rounding of 16 bits. */
function isNear(stored: Float32Array, computed: Float32Array): boolean {
  return (
    stored.length === computed.length &&
    computed.every((value, i) => Math.abs(value - stored[i]!) <= 0.01 * value + 1e-6)
  )
}

/** @throws {ConfigError} KEYS_DIFFER, SHAPES_DIFFER, UNSUPPORTED_MODEL */
function requireSameTensors(model: CausalLM, entries: Entries, json: JsonObject, path: string): void {
  const expected: Shapes = new Map(Array.from(model.namedParameters(), ([name, { shape }]) => [name, shape]))
  const found: Shapes = new Map(Array.from(entries, ([name, { shape }]) => [name, shape]))
  const mismatch = describeMismatch(expected, found, json)
  if (mismatch) {
    throw new ConfigError(
      mismatch.code,
      `${printable(path)}: the tensors are not those of config.json\n${mismatch.lines.map((line) => `  ${line}`).join('\n')}`,
    )
  }
  for (const name of expected.keys()) {
    const { dtype } = entries.get(name)!
    if (isFloating(dtype)) continue
    throw new ConfigError(
      'UNSUPPORTED_MODEL',
      `${printable(path)}: ${name} is ${dtype}; expected float32, float16 or bfloat16`,
    )
  }
}
