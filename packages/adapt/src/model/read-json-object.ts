import { readFileSync } from 'node:fs'
import { HostileFileError } from '../errors.js'

/** A JSON file of a model folder. @throws {HostileFileError} BAD_MODEL_CONFIG unless it holds one JSON object. */
export function readJsonObject(path: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new HostileFileError('BAD_MODEL_CONFIG', `${path}: not JSON (${(error as Error).message})`)
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new HostileFileError('BAD_MODEL_CONFIG', `${path}: expected a JSON object`)
  }
  return parsed as Record<string, unknown>
}
