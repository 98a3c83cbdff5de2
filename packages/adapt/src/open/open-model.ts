import { type Device, setBackendFlags } from '@adapt-ts/torch'
import type { RunConfig } from '../config/index.js'
import { ConfigError } from '../errors.js'
import { findModelPlace, formatHubId, resolveModelPath } from '../hub/index.js'
import { toCamelCase } from '../method/index.js'
import {
  addLora,
  type CausalLM,
  createModel,
  hasLora,
  isAdapterFolder,
  LORA_DEFAULTS,
  type LoraConfig,
  loadAdapterFolder,
  loadModelFolder,
} from '../model/index.js'
import { assertTokenizerFits, type Tokenizer } from '../tokenize/index.js'
import { autocastDtype, chooseDevice } from './choose-device.js'

/**
 * The model a config names, ready to train on the device of `training.device`: float32 parameters, or a frozen base with
 * float32 adapters.
 * @param checkpoint  Folder of the weights trained so far: a model, or an adapter for the model of the config.
 * @throws {ConfigError} TOKENIZER_TOO_LARGE, BAD_LORA, ADAPTER_NOT_FOUND, CHECKPOINT_DIFFERS, and what choosing a
 *   device and loading a model folder throw.
 */
export function openModel(
  config: RunConfig,
  baseDir: string,
  tokenizer: Tokenizer,
  checkpoint?: string,
): CausalLM {
  const spec = config.model
  const wantsAdapter = trainsAdapter(spec)
  const hasAdapter = checkpoint !== undefined && isAdapterFolder(checkpoint)
  if (checkpoint !== undefined && hasAdapter !== wantsAdapter) {
    const [holds, trains] = hasAdapter ? ['an adapter', 'a whole model'] : ['a whole model', 'an adapter']
    throw checkpointDiffers(`checkpoint ${checkpoint} holds ${holds}, but the config trains ${trains}`)
  }
  const { deterministic, tf32, device: wanted } = config.training
  // Before anything runs on the device: its matrix library takes its workspace with the first product.
  setBackendFlags({ deterministic, tf32 })
  const { device } = chooseDevice(wanted)
  if (checkpoint !== undefined && !hasAdapter) return loadModelFolder(checkpoint, { device })
  const model = buildBase(config, baseDir, tokenizer, device)
  try {
    if (checkpoint !== undefined) {
      loadAdapterFolder(model, checkpoint)
      if ('path' in spec && spec.lora !== undefined && !hasLora(model, loraConfig(spec.lora)))
        throw checkpointDiffers(`checkpoint ${checkpoint} was made with another lora`)
    } else if ('path' in spec && spec.adapter !== undefined)
      loadAdapterFolder(model, resolveModelPath(baseDir, spec.adapter))
    else if ('path' in spec && spec.lora !== undefined)
      addLora(model, loraConfig(spec.lora), config.training.seed)
    return model
  } catch (error) {
    model.dispose()
    throw error
  }
}

/** A checkpoint decides nothing silently: what it holds must be what the config says. */
function checkpointDiffers(problem: string): ConfigError {
  return new ConfigError(
    'CHECKPOINT_DIFFERS',
    `model: ${problem}; set model as it was there, or start without training.resume_from_checkpoint`,
  )
}

function buildBase(config: RunConfig, baseDir: string, tokenizer: Tokenizer, device: Device): CausalLM {
  const { model, training } = config
  if ('path' in model) {
    const loaded = loadModelFolder(resolveModelPath(baseDir, model.path), {
      dtype: baseDtype(model, training.bf16, device),
      device,
    })
    assertTokenizerFits(tokenizer, loaded.config.vocabSize)
    return loaded
  }
  // The vocabulary is the tokenizer's unless the config says otherwise.
  const changes = { vocab_size: tokenizer.vocabSize, ...model.config }
  assertTokenizerFits(tokenizer, changes.vocab_size)
  const dimensions = Object.entries(changes).map(([key, value]) => [toCamelCase(key), value])
  return createModel(model.preset, { ...Object.fromEntries(dimensions), seed: training.seed, device })
}

type FolderModel = Extract<RunConfig['model'], { path: string }>

/** Whether an adapter on a frozen base is trained, and not the model itself. */
export function trainsAdapter(model: RunConfig['model']): model is FolderModel {
  return 'path' in model && (model.lora !== undefined || model.adapter !== undefined)
}

/** Weights that are trained are float32; frozen ones take half of that where products run in bfloat16 anyway. */
function baseDtype(model: FolderModel, bf16: boolean | 'auto', device: Device) {
  const isHalf = trainsAdapter(model) && autocastDtype(bf16, device) === 'bfloat16'
  return model.dtype ?? (isHalf ? 'bfloat16' : 'float32')
}

function loraConfig(lora: NonNullable<FolderModel['lora']>): LoraConfig {
  return {
    r: lora.r,
    loraAlpha: lora.lora_alpha,
    loraDropout: lora.lora_dropout,
    useRslora: lora.use_rslora,
    targetModules: lora.target_modules ?? LORA_DEFAULTS.targetModules,
  }
}

/** What an adapter calls the model underneath it: its hub id, or the folder as an absolute path. */
export function baseModelName({ model }: RunConfig, baseDir: string): string | undefined {
  if (!('path' in model)) return undefined
  const { hubId, path } = findModelPlace(baseDir, model.path)
  return hubId ? formatHubId(hubId) : path
}
