import { toCamelCase, toSnakeCase } from '../method/option-names.js'
import { invalidConfig } from './config-issue.js'
import { describeIssues } from './describe-issues.js'
import { configJsonSchema, type RunConfig, runConfigSchema, withModelTokenizer } from './run-config.js'
import type { RunOptions } from './run-options.js'
import { validateConfig } from './validate-config.js'

/**
 * Checks a run that code describes and fills in every default, as `loadConfig` does for a file. A key whose value
 * is undefined counts as absent.
 *
 * @returns The config that `runTraining` takes; its keys are those of the file, in snake_case.
 * @throws {ConfigError} INVALID_CONFIG with one line per problem, `training.maxSteps: expected ..., received ...`,
 *   and the problems in `context.issues`.
 * @example
 * const config = parseConfig({
 *   model: { init: 'scratch', preset: 'llama-1m' },
 *   tokenizer: 'tokenizer',
 *   data: { train: ['corpus/*.jsonl.gz'], maxLength: 256 },
 *   method: 'uniform',
 *   outputDir: 'runs/first',
 * })
 */
export function parseConfig(options: RunOptions): RunConfig {
  const schema = configJsonSchema() as Schema
  const value = withModelTokenizer(toFileKeys(options, [schema]))
  const result = runConfigSchema.safeParse(value)
  const issues = result.success ? validateConfig(result.data) : describeIssues(result.error.issues, value)
  if (result.success && issues.length === 0) return result.data
  const names = keyNames(schema)
  const shown = (text: string) => text.replace(/\w+/g, (word) => (names.has(word) ? toCamelCase(word) : word))
  throw invalidConfig(
    issues.map(({ path, message }) => ({
      where: '',
      path: path.map((key) => shown(String(key))).join('.'),
      message: shown(message),
    })),
  )
}

/** What is read of the JSON Schema of a config. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

/** Renames the keys that the schema knows at their place; others, such as names of sources, stay as they are. */
function toFileKeys(value: unknown, schemas: readonly Schema[]): unknown {
  const alternatives = schemas.flatMap((schema) => [schema, ...(schema.anyOf ?? [])])
  if (Array.isArray(value)) {
    const items = alternatives.flatMap((schema) => schema.items ?? [])
    return value.map((element) => toFileKeys(element, items))
  }
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(
    entries.map(([key, inner]) => {
      const named = (name: string) => alternatives.flatMap((schema) => schema.properties?.[name] ?? [])
      const fileKey = toSnakeCase(key)
      const known = named(fileKey)
      if (known.length > 0) return [fileKey, toFileKeys(inner, known)]
      const free = alternatives.flatMap(({ additionalProperties: any }) =>
        typeof any === 'object' ? any : [],
      )
      return [key, toFileKeys(inner, free)]
    }),
  )
}

/** Every key that may stand anywhere in a config. */
function keyNames(schema: Schema, names = new Set<string>()): ReadonlySet<string> {
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    names.add(name)
    keyNames(inner, names)
  }
  for (const inner of [...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])])
    keyNames(inner, names)
  return names
}
