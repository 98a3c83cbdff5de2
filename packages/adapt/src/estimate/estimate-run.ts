import { join } from 'node:path'
import { modelsRead, needsOf, partsOf } from '../catalog/index.js'
import {
  asOneRank,
  chatOptions,
  dataSources,
  planSteps,
  type RunConfig,
  rowsPerStep,
} from '../config/index.js'
import { type Document, printable, readDocuments } from '../dataset/index.js'
import { AdaptError, ConfigError } from '../errors.js'
import { CONFIG_FILE, findModelPlace, resolveDataFiles } from '../hub/index.js'
import { defaultChunkSize } from '../loss/default-chunk-size.js'
import type { ModelConfig } from '../model/dimensions/model-config.js'
import { parseModelConfig } from '../model/dimensions/parse-model-config.js'
import { readModelJson } from '../model/dimensions/read-model-json.js'
import { parseAdapterConfig } from '../model/lora/adapter-config.js'
import { LORA_DEFAULTS } from '../model/lora/lora-config.js'
import { firstPieces, loadTokenizer, tokenizeDocuments } from '../tokenize/index.js'
import { cachedLength } from './cached-length.js'
import { cpuHasBfloat16, type Device } from './devices.js'
import { type AnchorCount, estimateFlops, type FlopsEstimate, type RunLength } from './estimate-flops.js'
import { estimateMemory, type MemoryEstimate, type MemorySetting } from './estimate-memory.js'
import { type AdapterSpec, estimateParameters, type ParameterEstimate } from './estimate-parameters.js'
import { estimateRanks, exposedSeconds, type RanksEstimate } from './estimate-ranks.js'
import { readDimensions, requireFolder } from './read-dimensions.js'

/** What is assumed of the machine, and what the config does not say. */
export interface EstimateOptions {
  readonly devices: readonly Device[]
  /** Share of a device's peak that training reaches. */
  readonly mfu: number
  /** Samples of one epoch; each is taken for a whole row. Default: what the token cache holds, else full rows for `max_steps`. */
  readonly samples?: number
  /** Ranks that share every step, each on a device of its own. Default 1. */
  readonly ranks?: number
  /** Bits a second that a rank sends to others. Default: nothing is waited for. */
  readonly link?: number
}

/** A run on one device. */
export interface DeviceEstimate {
  readonly device: Device
  readonly memory: MemoryEstimate
  readonly fits: boolean
  /** Of all ranks together. */
  readonly tokensPerSecond: number
  /** Seconds of a step that a rank waits for the link; absent without one. */
  readonly exposedSeconds?: number
  /** Absent when the length of the run is unknown. */
  readonly seconds?: number
}

/** What a run would take, from its config and the dimensions of its model. */
export interface RunEstimate {
  /** Where the dimensions are from. */
  readonly model: string
  readonly config: ModelConfig
  readonly parameters: ParameterEstimate
  /** Memory under bfloat16 products (unless the config says otherwise), as configured and with the other setting of gradient_checkpointing. */
  readonly setting: MemorySetting
  readonly memory: MemoryEstimate
  readonly memoryOtherwise: MemoryEstimate
  /** Absent when neither `max_steps` nor the number of samples is known, and there is no token cache. */
  readonly length?: RunLength
  readonly anchors: AnchorCount
  readonly flops: FlopsEstimate
  readonly devices: readonly DeviceEstimate[]
  /** Absent for one rank. */
  readonly ranks?: RanksEstimate
}

/** Share of a device's memory that a step may fill: the rest goes to the driver, kernels and gaps between tensors. */
const USABLE = 0.92

/**
 * Parameters, memory, FLOPs and time of a run. Reads config.json, the tokenizer, the anchors and, when the
 * training data was tokenised before, its cache; no weights, and nothing is fetched.
 *
 * @throws {ConfigError} MODEL_NOT_FOUND, UNSUPPORTED_MODEL, BAD_LORA and others for what cannot be estimated.
 */
export async function estimateRun(
  configOfRank: RunConfig,
  baseDir: string,
  { devices, mfu, samples, ranks = 1, link }: EstimateOptions,
): Promise<RunEstimate> {
  const config = asOneRank(configOfRank, ranks)
  const [custom] = partsOf(config.method).byCode
  if (custom !== undefined) {
    throw new ConfigError(
      'NEEDS_CODE',
      `method.${custom}: expected a ${custom} of the program, received one that the code of the run brings: what it costs is known to the run alone`,
    )
  }
  const dimensions = readDimensions(config, baseDir)
  const lora = readAdapter(config, baseDir)
  const parameters = estimateParameters(dimensions.config, lora)
  const settingOf = (hasBfloat16: boolean, kind: Device['kind']) => {
    const chunkSize = defaultChunkSize(kind === 'cpu' ? 'cpu' : 'cuda', dimensions.config.vocabSize)
    return {
      ...memorySetting(config, lora, dimensions.storedBytes, { hasBfloat16, chunkSize }),
      ownKernels: kind === 'cpu',
      ...(ranks === 1 ? {} : { ranks, shardedMoments: sharesMoments(config) }),
    }
  }
  const setting = settingOf(true, 'accelerator')
  const otherwise = { ...setting, checkpointing: !setting.checkpointing }
  const length =
    samples === undefined
      ? ((await cachedLength(config, baseDir)) ?? boundedLength(config))
      : boundedLength(config, samples)
  const anchors = await countAnchors(config, baseDir)
  const unknown: RunLength = {
    steps: 0,
    stepsPerEpoch: 1,
    tokens: 0,
    samples: 0,
    tokensPerPass: 0,
    basis: 'upper bound',
  }
  const { maxPositionEmbeddings: positions } = dimensions.config
  const flops = estimateFlops(
    config,
    { ...parameters, positions },
    length ?? unknown,
    anchors,
    readModels(config, baseDir),
  )
  const exchange = ranks === 1 ? undefined : estimateRanks(ranks, parameters.trainable)
  return {
    model: dimensions.model,
    config: dimensions.config,
    parameters,
    setting,
    memory: estimateMemory(dimensions.config, setting),
    memoryOtherwise: estimateMemory(dimensions.config, otherwise),
    ...(length === undefined ? {} : { length }),
    anchors,
    flops,
    devices: devices.map((device) => {
      const hasBfloat16 = device.hasBfloat16 ?? (device.kind === 'accelerator' || cpuHasBfloat16())
      const memory = estimateMemory(dimensions.config, settingOf(hasBfloat16, device.kind))
      const perSecond = device.tflops * 1e12 * mfu
      const pass = (flops.perToken * setting.rows * setting.length) / perSecond
      const stepOfRank = pass * configOfRank.training.gradient_accumulation_steps
      const exposed = exchange === undefined || link === undefined ? 0 : exposedSeconds(exchange, link, pass)
      const slowdown = 1 + exposed / stepOfRank
      return {
        device,
        memory,
        fits: memory.total <= usableBytes(device),
        tokensPerSecond: (ranks * perSecond) / flops.perToken / slowdown,
        ...(length === undefined ? {} : { seconds: (flops.total / (ranks * perSecond)) * slowdown }),
        ...(link === undefined ? {} : { exposedSeconds: exposed }),
      }
    }),
    ...(exchange === undefined ? {} : { ranks: exchange }),
  }
}

/** Whether each of several ranks keeps its share of the moments alone. */
function sharesMoments({ training, method }: RunConfig): boolean {
  return training.sharded_optimizer === 'auto' && needsOf(method).moments !== true
}

/** Bytes of a device that a step may take. */
export function usableBytes({ memory, free = Number.POSITIVE_INFINITY }: Device): number {
  return Math.min(USABLE * memory, free)
}

/** Parameters of the models that the method reads, by option; without those that are not here. */
function readModels({ method }: RunConfig, baseDir: string): Record<string, ParameterEstimate> {
  const found: Record<string, ParameterEstimate> = {}
  for (const { option, path } of modelsRead(method)) {
    const { folder } = findModelPlace(baseDir, path)
    const file = folder === undefined ? undefined : join(folder, CONFIG_FILE)
    const json = file === undefined ? undefined : readModelJson(file)
    if (json !== undefined) found[option] = estimateParameters(parseModelConfig(json, printable(file!)))
  }
  return found
}

type Adapter = AdapterSpec & { readonly dropout: number }

function readAdapter({ model }: RunConfig, baseDir: string): Adapter | undefined {
  if ('init' in model) return undefined
  const { lora, adapter } = model
  if (lora !== undefined) {
    return {
      r: lora.r,
      targetModules: lora.target_modules ?? LORA_DEFAULTS.targetModules,
      dropout: lora.lora_dropout,
    }
  }
  if (adapter === undefined) return undefined
  const path = join(requireFolder(baseDir, adapter, 'model.adapter'), 'adapter_config.json')
  const json = readModelJson(path)
  if (json === undefined) throw new ConfigError('ADAPTER_NOT_FOUND', `${printable(path)}: no such file`)
  const { r, targetModules, loraDropout } = parseAdapterConfig(json, printable(path))
  return { r, targetModules, dropout: loraDropout }
}

function memorySetting(
  { model, training, data }: RunConfig,
  lora: Adapter | undefined,
  storedBytes: 2 | 4,
  { hasBfloat16, chunkSize }: { readonly hasBfloat16: boolean; readonly chunkSize: number },
): MemorySetting {
  const isBfloat16 = training.bf16 === true || (training.bf16 === 'auto' && hasBfloat16)
  const dtype = 'path' in model ? model.dtype : undefined
  const halves =
    dtype === undefined ? isBfloat16 : dtype === 'bfloat16' || (dtype === 'auto' && storedBytes === 2)
  return {
    rows: training.per_device_train_batch_size,
    length: data.max_length,
    baseBytes: halves ? 2 : 4,
    computeBytes: isBfloat16 ? 2 : 4,
    checkpointing: training.gradient_checkpointing,
    keepsAverage: training.ema_decay !== undefined,
    lossChunkSize: training.loss_chunk_size === 'auto' ? chunkSize : training.loss_chunk_size,
    ...(lora === undefined ? {} : { lora }),
  }
}

/** Every sample is taken for a whole row of `max_length`. */
function boundedLength(config: RunConfig, samples?: number): RunLength | undefined {
  const { training, data } = config
  const rows = rowsPerStep(config)
  const { candidates, keptShare } = partsOf(config.method)
  if (samples === undefined) {
    const { max_steps: steps } = training
    if (steps === undefined) return undefined
    const tokens = steps * rows * data.max_length
    // How much data there is, is unknown: as much as the run reads, once.
    const pool = {
      samples: steps * rows * candidates,
      tokensPerPass: tokens * candidates,
      passes: 1 / candidates,
    }
    return { steps, stepsPerEpoch: steps, tokens, ...pool, basis: 'upper bound' }
  }
  const kept = Math.max(1, Math.round(samples * keptShare))
  const plan = planSteps(config, () => kept, candidates)
  const tokens = Math.round((plan.passes * kept) / candidates) * data.max_length
  return {
    steps: plan.totalSteps,
    stepsPerEpoch: plan.stepsPerEpoch,
    passes: planSteps(config, () => samples).passes,
    tokens,
    samples,
    tokensPerPass: samples * data.max_length,
    basis: 'upper bound',
  }
}

/** Anchors that the method reads, as a run tokenises them; each taken for `max_length` where that cannot be done here. */
async function countAnchors(config: RunConfig, baseDir: string): Promise<AnchorCount> {
  const { max_length: maxLength } = config.data
  if (!needsOf(config.method).anchors) return { count: 0, tokensEach: maxLength }
  const documents: Document[] = []
  for await (const document of readDocuments(await resolveDataFiles(dataSources(config.anchors), baseDir)))
    documents.push(document)
  try {
    const { folder } = findModelPlace(baseDir, config.tokenizer)
    const tokenizer = folder && loadTokenizer(folder, chatOptions(config, baseDir))
    if (!tokenizer || documents.length === 0) return { count: documents.length, tokensEach: maxLength }
    const dataset = await tokenizeDocuments(documents, tokenizer, maxLength)
    const pieces = firstPieces(dataset)
    const tokens = pieces.reduce((sum, i) => sum + dataset.length(i), 0)
    return { count: pieces.length, tokensEach: tokens / pieces.length }
  } catch (error) {
    // What is wrong with the tokenizer is told where it is needed.
    if (error instanceof AdaptError) return { count: documents.length, tokensEach: maxLength }
    throw error
  }
}
