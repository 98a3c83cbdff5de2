import { join } from 'node:path'
import { readModelJson } from './read-model-json.js'

/** Token ids at which a model folder says that a text ends: `eos_token_id` of generation_config.json or config.json. */
export function readStopTokens(folder: string): readonly number[] {
  for (const name of ['generation_config.json', 'config.json']) {
    const ids = [readModelJson(join(folder, name))?.eos_token_id].flat()
    const valid = ids.filter((id): id is number => Number.isSafeInteger(id))
    if (valid.length > 0) return valid
  }
  return []
}
