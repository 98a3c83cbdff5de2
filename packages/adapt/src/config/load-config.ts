import { createReadStream } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { describeValue } from '../method/describe-value.js'
import { suggestName } from '../method/nearest-name.js'
import { applyOverrides } from './apply-overrides.js'
import { type ConfigIssue, invalidConfig } from './config-issue.js'
import { describeIssues } from './describe-issues.js'
import { type Environment, escapeReferences } from './interpolate.js'
import { type ParsedYaml, parseYaml, placeKey } from './parse-yaml.js'
import { type RunConfig, runConfigSchema, withModelTokenizer } from './run-config.js'
import { configWarnings, validateConfig } from './validate-config.js'

/** Largest config file that is read. */
export const MAX_CONFIG_BYTES = 1 << 20

/** What a command line adds to a config file. */
export interface LoadConfigOptions {
  /** Assignments `a.b=c`, applied in order over the file; values are read as YAML. */
  readonly set?: readonly string[]
  /** Replaces `output_dir`; taken literally. */
  readonly outputDir?: string
  /** Environment for `${NAME}`. Default `process.env`. */
  readonly env?: Environment
}

/** A config file that may be run. */
export interface LoadedConfig {
  readonly config: RunConfig
  /** Settings that are valid but most likely not meant; one line each. */
  readonly warnings: readonly string[]
  /** Folder that the config's paths are relative to (all but `output_dir`). Absolute. */
  readonly baseDir: string
}

/**
 * Reads, checks and completes a config file.
 *
 * @param path  YAML file of at most 1 MiB.
 * @throws {ConfigError} FILE_NOT_FOUND, FILE_NOT_READABLE, FILE_TOO_LARGE, or INVALID_CONFIG with one line per
 *   problem: `file:line:col: key.path: expected ..., received ... (did you mean "x"?)`.
 * @example
 * const { config, baseDir } = await loadConfig('run.yaml', { set: ['training.max_steps=100'] })
 */
export async function loadConfig(path: string, options: LoadConfigOptions = {}): Promise<LoadedConfig> {
  const text = await readConfigText(path)
  const config = parseConfigText(text, path, options)
  return { config, warnings: configWarnings(config), baseDir: dirname(resolve(path)) }
}

/**
 * Like {@link loadConfig} for a text that is already in memory; `file` is its name in messages.
 * @throws {ConfigError} INVALID_CONFIG
 */
export function parseConfigText(text: string, file: string, options: LoadConfigOptions = {}): RunConfig {
  const env = options.env ?? process.env
  const shownFile = printable(file)
  const parsed = parseYaml(text, { env, label: (line, column) => `${shownFile}:${line}:${column}` })
  const set = [...(options.set ?? [])]
  if (options.outputDir !== undefined) {
    // JSON text is a quoted YAML scalar, so nothing in the name is interpreted.
    set.push(`output_dir=${JSON.stringify(escapeReferences(options.outputDir))}`)
  }
  const draft = applyOverrides(parsed, set, env)
  const { places } = draft
  const value = withModelTokenizer(draft.value)
  // A document that could not be read gives no value to check; its own issues say why.
  if (draft.issues.length > 0 && parsed.value === undefined) throw invalidConfig(draft.issues)
  requireRunConfig(value, shownFile)
  const result = runConfigSchema.safeParse(value)
  if (!result.success) {
    const described = describeIssues(result.error.issues, value).map(({ path, at, message }) =>
      locate(places, path, at, message),
    )
    // A value that could not even be read is reported once, not again as missing; nor is a tokenizer that the model brings.
    const unreadable = new Set(draft.issues.map(({ path }) => path).filter((path) => path !== ''))
    if (unreadable.has('model.path')) unreadable.add('tokenizer')
    throw invalidConfig([...draft.issues, ...described.filter(({ path }) => !unreadable.has(path))])
  }
  const crossField = validateConfig(result.data).map(({ path, message }) =>
    locate(places, path, 'value', message),
  )
  if (draft.issues.length + crossField.length > 0) throw invalidConfig([...draft.issues, ...crossField])
  return result.data
}

/**
 * Refuses another kind of file by name, instead of every key of it.
 * @throws {ConfigError} INVALID_CONFIG
 */
function requireRunConfig(value: unknown, where: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw otherFile(
      where,
      `expected a config with keys such as model and data, received ${describeValue(value)}`,
    )
  }
  const keys = Object.keys(value)
  if (keys.includes('base') && keys.some((key) => key === 'arms' || key === 'seeds')) {
    throw otherFile(where, 'expected the config of a run, received a study; adapt compare trains it')
  }
  if (keys.length > 0 && !keys.some((key) => key in runConfigSchema.shape)) {
    const shown = keys.slice(0, 5).map((key) => printable(key, 40))
    const hint = keys
      .map((key) => suggestName(key, Object.keys(runConfigSchema.shape)))
      .find((found) => found !== '')
    throw otherFile(
      where,
      `expected a config with keys such as model and data, received a file with ${shown.join(', ')}${hint ?? '; is it data? A config names it in data.train'}`,
    )
  }
}

/** Names of files that nobody gives to a config. */
const DATA_FILE = /\.(?:jsonl|ndjson|csv|tsv|parquet|gz|zst)$/i

function otherFile(where: string, message: string): ConfigError {
  return invalidConfig([{ where, path: '', message }])
}

/** Where a path stands: its own key or value, else the nearest mapping around it. */
export function locate(
  places: ParsedYaml['places'],
  path: readonly PropertyKey[],
  at: 'key' | 'value',
  message: string,
): ConfigIssue {
  const dotted = path.map(String).join('.')
  const own = places.get(placeKey(path))
  if (own !== undefined) return { where: own[at], path: dotted, message }
  for (let length = path.length - 1; length >= 0; length--) {
    const around = places.get(placeKey(path.slice(0, length)))
    if (around !== undefined) return { where: around.key, path: dotted, message }
  }
  return { where: '', path: dotted, message }
}

/** The text of a config file. @throws {ConfigError} FILE_NOT_FOUND, FILE_NOT_READABLE, FILE_TOO_LARGE, INVALID_CONFIG. */
export async function readConfigText(path: string): Promise<string> {
  const shown = printable(path)
  const chunks: Buffer[] = []
  try {
    // One byte past the limit tells a file that is too large; a device that never ends is not read further.
    for await (const chunk of createReadStream(path, { end: MAX_CONFIG_BYTES })) chunks.push(chunk)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const missing = code === 'ENOENT' || code === 'ENOTDIR'
    const found = missing
      ? 'no such file'
      : code === 'EISDIR'
        ? 'a folder'
        : `an error (${code ?? 'unknown'})`
    throw new ConfigError(
      missing ? 'FILE_NOT_FOUND' : 'FILE_NOT_READABLE',
      `${shown === '' ? '""' : shown}: expected a config file, received ${found}`,
      { path },
      { cause: error },
    )
  }
  if (DATA_FILE.test(path)) {
    throw otherFile(shown, 'expected a YAML config, received a data file; a config names it in data.train')
  }
  const bytes = Buffer.concat(chunks)
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new ConfigError('FILE_TOO_LARGE', `${shown}: expected a config of at most 1 MiB, received more`, {
      path,
    })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ConfigError(
      'INVALID_CONFIG',
      `${shown}: expected UTF-8 text, received other bytes`,
      { path },
      { cause: error },
    )
  }
}
