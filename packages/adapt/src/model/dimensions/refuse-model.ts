import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import { ADAPTER_FILES, foreignWeights } from '../../hub/index.js'
import type { JsonObject } from './read-model-json.js'

/**
 * Refuses models that no computation here fits, with what mends it: code of their own, and quantised weights.
 * @throws {ConfigError} UNSUPPORTED_MODEL
 */
export function refuseForeignConfig(json: JsonObject, where: string): void {
  const { auto_map, quantization_config, compression_config } = json
  if (auto_map !== undefined && auto_map !== null) {
    throw new ConfigError(
      'UNSUPPORTED_MODEL',
      `${where}: auto_map names Python code that would have to be run; it never is. Use a model whose architecture ` +
        'is supported, without auto_map',
    )
  }
  const quantization = quantization_config ?? compression_config
  if (quantization !== undefined && quantization !== null) {
    const method = (quantization as { readonly quant_method?: unknown }).quant_method
    const name = typeof method === 'string' ? ` by ${printable(method, 40)}` : ''
    throw new ConfigError(
      'UNSUPPORTED_MODEL',
      `${where}: the weights are quantised${name} (quantization_config), which cannot be trained; ` +
        'use the float32, float16 or bfloat16 weights they were made from',
    )
  }
}

/** What there is beside a folder that is not there: its name may be mistyped. */
function siblings(folder: string): string {
  try {
    const names = readdirSync(dirname(folder), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    if (names.length === 0) return ''
    const shown = names.slice(0, 3).map(({ name }) => printable(name, 60))
    return ` (beside it: ${shown.join(', ')}${names.length > 3 ? ', ...' : ''})`
  } catch {
    return ''
  }
}

/** Why a folder holds no model that can be loaded, and what mends it. */
export function describeMissingModel(folder: string): string {
  const names = existsSync(folder) ? readdirSync(folder) : undefined
  const shown = printable(folder)
  if (names === undefined) {
    return `${shown}: no such folder${siblings(folder)}; expected a Hugging Face model folder, or a hub id (org/name, or org/name@main where a folder org lies here)`
  }
  if (names.includes(ADAPTER_FILES[0]) && !names.includes('config.json')) {
    return `${shown}: looks like a PEFT adapter folder (adapter_config.json); give its base model as model.path and this folder as model.adapter`
  }
  const foreign = foreignWeights(names)
  if (foreign !== undefined) return `${shown}: expected model.safetensors; ${printable(foreign, 400)}`
  if (!names.includes('config.json')) {
    return `${join(shown, 'config.json')}: no such file; expected a Hugging Face model folder`
  }
  return (
    `${shown}: the weights are missing, config.json is there without model.safetensors (or ` +
    'model.safetensors.index.json and its shards); fetch them beside it, or name the model by its hub id (org/name)'
  )
}
