import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readJsonObject } from './read-json-object.js'

/** Token ids at which a model folder says that a text ends: `eos_token_id` of generation_config.json or config.json. */
export function readStopTokens(folder: string): readonly number[] {
  for (const name of ['generation_config.json', 'config.json']) {
    const path = join(folder, name)
    const ids = existsSync(path) ? [readJsonObject(path).eos_token_id].flat() : []
    const valid = ids.filter((id): id is number => Number.isSafeInteger(id))
    if (valid.length > 0) return valid
  }
  return []
}
