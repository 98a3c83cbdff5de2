import { readFileSync, statSync } from 'node:fs'
import { printable, scanJson } from '../../dataset/index.js'
import { ConfigError, HostileFileError } from '../../errors.js'

const MAX_DEPTH = 32

/** A JSON object of a model folder. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Reads a JSON object whose size and depth are checked before it is parsed.
 * @param maxBytes  Largest file that is read.
 * @returns undefined when there is no such file.
 * @throws {HostileFileError} BAD_MODEL_CONFIG. @throws {ConfigError} FILE_UNREADABLE.
 */
export function readModelJson(path: string, maxBytes = 1 << 22): JsonObject | undefined {
  const bad = (problem: string) =>
    new HostileFileError('BAD_MODEL_CONFIG', `${printable(path)}: ${problem}`, { path })
  let bytes: Buffer
  try {
    const found = statSync(path)
    if (!found.isFile() || found.size > maxBytes) throw bad(`expected a file of at most ${maxBytes} bytes`)
    bytes = readFileSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (error instanceof HostileFileError) throw error
    throw new ConfigError('FILE_UNREADABLE', `${printable(path)}: cannot be read (${printable(message)})`)
  }
  const { depth } = scanJson(bytes)
  if (depth > MAX_DEPTH) throw bad(`expected at most ${MAX_DEPTH} levels of nesting, received ${depth}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw bad(`not JSON (${printable((error as Error).message)})`)
  }
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed))
    throw bad('expected a JSON object')
  return parsed as JsonObject
}
