import { join } from 'node:path'
import { CONFIG_FILE, GENERATION_FILE } from '../../hub/index.js'
import { type JsonObject, readModelJson } from '../dimensions/read-model-json.js'

/** Token ids at which a model folder says that a text ends: `eos_token_id` of generation_config.json or config.json. */
export function readStopTokens(folder: string): readonly number[] {
  for (const name of [GENERATION_FILE, CONFIG_FILE]) {
    const ids = stopTokensOf(readModelJson(join(folder, name)))
    if (ids.length > 0) return ids
  }
  return []
}

/** `eos_token_id`, a number or a list of them. */
function stopTokensOf(json: JsonObject | undefined): readonly number[] {
  return [json?.eos_token_id].flat().filter((id): id is number => Number.isSafeInteger(id))
}

/** Keys of config.json that transformers takes for generation where there is no generation_config.json. */
const INHERITED = [
  ...['bos_token_id', 'pad_token_id', 'decoder_start_token_id', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...[
    'do_sample',
    'temperature',
    'top_k',
    'top_p',
    'typical_p',
    'num_beams',
    'num_return_sequences',
    'early_stopping',
  ],
  ...[
    'max_length',
    'min_length',
    'length_penalty',
    'repetition_penalty',
    'no_repeat_ngram_size',
    'bad_words_ids',
  ],
  ...['suppress_tokens', 'begin_suppress_tokens', 'use_cache'],
]

/**
 * The generation config of a model that also stops at `stopIds`, a list as transformers writes it. Everything else
 * stays as it is; nothing is changed where the model stops at all of them already.
 *
 * @param generation  generation_config.json, where there is one.
 * @param config  config.json, which counts where there is none.
 */
export function withStopTokens(
  generation: JsonObject | undefined,
  config: JsonObject,
  stopIds: readonly number[],
): JsonObject | undefined {
  const stated = new Set(stopTokensOf(generation ?? config))
  if (stopIds.every((id) => stated.has(id))) return generation
  // With this mark old versions of transformers read config.json again instead.
  const { _from_model_config, ...settings } = generation ?? {
    ...Object.fromEntries(INHERITED.flatMap((key) => (key in config ? [[key, config[key]]] : []))),
  }
  const all = [...stated, ...stopTokensOf(config), ...stopIds]
  return { ...settings, eos_token_id: [...new Set(all)] }
}
