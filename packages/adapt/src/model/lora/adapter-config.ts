import { ConfigError } from '../../errors.js'
import { parseHubId } from '../../hub/index.js'
import { assertLoraConfig, LORA_DEFAULTS, type LoraConfig } from './lora-config.js'
import type { LayerChoice } from './target-modules.js'

type Json = Readonly<Record<string, unknown>>

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0)

/** Keys of adapter_config.json under which PEFT computes something else than a plain adapter. */
const UNSUPPORTED = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'fan_in_fan_out',
  'modules_to_save',
  'rank_pattern',
  'alpha_pattern',
  'layer_replication',
  'trainable_token_indices',
  'target_parameters',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'monteclora_config',
  'velora_config',
] as const

/** Beginnings that leave the base weights as they are; the others (pissa, olora, loftq ...) move a part of them into A and B. */
const PLAIN_BEGINNINGS: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal']

/**
 * Reads PEFT's adapter_config.json of a LoRA adapter. Which layers have an adapter is what the weights say.
 * @param where  Begins the messages.
 * @throws {ConfigError} UNSUPPORTED_ADAPTER for other methods and variants, BAD_LORA for values out of range.
 */
export function parseAdapterConfig(json: Json, where: string): LoraConfig {
  const refuse = (key: string): never => {
    throw new ConfigError(
      'UNSUPPORTED_ADAPTER',
      `${where}: ${key} ${JSON.stringify(json[key])} is not supported; plain LoRA adapters are`,
    )
  }
  if (json.peft_type !== 'LORA') refuse('peft_type')
  if (!isEmpty(json.task_type) && json.task_type !== 'CAUSAL_LM') refuse('task_type')
  if (json.bias !== undefined && json.bias !== 'none') refuse('bias')
  for (const key of UNSUPPORTED) if (!isEmpty(json[key])) refuse(key)
  if (!PLAIN_BEGINNINGS.includes(json.init_lora_weights)) refuse('init_lora_weights')
  const { target_modules: targets } = json
  const isList = Array.isArray(targets) && targets.every((target) => typeof target === 'string')
  if (typeof targets !== 'string' && !isList) refuse('target_modules')
  const number = (key: string, fallback: number): number => {
    const value = json[key] ?? fallback
    return typeof value === 'number' ? value : refuse(key)
  }
  // Python takes any value for a truth value.
  if (!isEmpty(json.use_rslora) && json.use_rslora !== true) refuse('use_rslora')
  const config: LoraConfig = {
    r: number('r', LORA_DEFAULTS.r),
    loraAlpha: number('lora_alpha', LORA_DEFAULTS.loraAlpha),
    loraDropout: number('lora_dropout', LORA_DEFAULTS.loraDropout),
    useRslora: json.use_rslora === true,
    targetModules: targets as string | readonly string[],
  }
  assertLoraConfig(config, where)
  return config
}

/**
 * Which layers the adapter is for, as `target_modules`, `exclude_modules` and `layers_to_transform` say it together.
 * @throws {ConfigError} UNSUPPORTED_ADAPTER
 */
export function readLayerChoice(json: Json, { targetModules }: LoraConfig, where: string): LayerChoice {
  const given = (key: string) => (isEmpty(json[key]) || json[key] === '' ? undefined : json[key])
  const listOf = <T extends string | number>(key: string, isItem: (item: unknown) => boolean) => {
    const value = given(key)
    if (value === undefined) return undefined
    const items: unknown[] = Array.isArray(value) ? value : [value]
    if (!items.every(isItem)) {
      throw new ConfigError(
        'UNSUPPORTED_ADAPTER',
        `${where}: ${key} ${JSON.stringify(value)} is not supported`,
      )
    }
    return items as T[]
  }
  const excluded = given('exclude_modules')
  return {
    targetModules,
    excludeModules:
      typeof excluded === 'string' ? excluded : listOf('exclude_modules', (item) => typeof item === 'string'),
    layers: listOf('layers_to_transform', Number.isInteger),
    // Plain names; in Python they are patterns.
    layersPattern: listOf('layers_pattern', (item) => typeof item === 'string' && /^\w+$/.test(item)),
  }
}

/** Folder or hub id of the model underneath, with the revision that PEFT keeps beside it: `org/name@revision`. */
export function readBaseModel({ base_model_name_or_path: base, revision }: Json): string | undefined {
  if (typeof base !== 'string' || base === '') return undefined
  const isPinned = typeof revision === 'string' && revision !== '' && revision !== 'main'
  return isPinned && parseHubId(`${base}@${revision}`) ? `${base}@${revision}` : base
}

/**
 * adapter_config.json as PEFT reads it.
 * @param adapted  Full names of the layers that have an adapter.
 * @param baseModel  Folder or hub id of the model underneath.
 */
export function toAdapterConfig(
  config: LoraConfig,
  adapted: readonly string[],
  baseModel: string | undefined,
): Record<string, unknown> {
  const { targetModules } = config
  const hubId = baseModel === undefined ? undefined : parseHubId(baseModel)
  const lastParts = [...new Set(adapted.map((name) => name.split('.').at(-1)!))]
  return {
    base_model_name_or_path: hubId?.name ?? baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.loraAlpha,
    lora_dropout: config.loraDropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.r,
    revision: hubId === undefined || hubId.revision === 'main' ? null : hubId.revision,
    // PEFT takes the word in its own configs only: what it stores are names.
    target_modules: targetModules === 'all-linear' ? lastParts : targetModules,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.useRslora,
  }
}
