import type { z } from 'zod'
import { describeValue } from '../method/describe-value.js'
import { nearestName, suggestName } from '../method/nearest-name.js'
import { MAX_LISTED_ISSUES } from './config-issue.js'
import { keyOfForeignName, reasonForNoKey } from './foreign-names.js'
import { configJsonSchema } from './run-config.js'

type ZodIssue = z.core.$ZodIssue

/** A schema issue in words, with the path it belongs to and whether that key itself is the problem. */
export interface DescribedIssue {
  readonly path: readonly PropertyKey[]
  readonly at: 'key' | 'value'
  readonly message: string
}

/** What the issues are about: the value that was checked, and the JSON Schema that hints look for names in. */
interface Checked {
  readonly input: unknown
  readonly schema: () => JsonSchema
}

/**
 * Puts zod's issues into sentences that say what was expected, what was received and the nearest name.
 * @param schema  JSON Schema of the value; default: that of a run's config.
 */
export function describeIssues(
  issues: readonly ZodIssue[],
  input: unknown,
  schema: () => JsonSchema = cachedSchema,
): readonly DescribedIssue[] {
  return issues.flatMap((issue) => describeIssue(issue, [], { input, schema }))
}

function describeIssue(issue: ZodIssue, base: readonly PropertyKey[], checked: Checked): DescribedIssue[] {
  const path = [...base, ...issue.path]
  const received = valueAt(checked.input, path)
  const say = (expected: string, hint = ''): DescribedIssue[] => [
    { path, at: 'value', message: `${expected}, received ${describeValue(received)}${hint}` },
  ]
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key, i) => ({
        path: [...path, key],
        at: 'key',
        message: `expected a known key, received ${describeValue(key)}${i < MAX_LISTED_ISSUES ? keyHint(key, path, checked.schema()) : ''}`,
      }))
    case 'invalid_union':
      return describeUnion(issue, path, checked, received)
    case 'invalid_value': {
      const values = issue.values.map(String)
      const hint = typeof received === 'string' ? suggestName(received, values) : ''
      return say(hasOwnWords(issue) ? issue.message : `expected ${listValues(values)}`, hint)
    }
    case 'custom':
      if (hasOwnWords(issue) && !issue.message.includes(', received ')) return say(issue.message)
      return [{ path, at: 'key', message: issue.message }]
    case 'invalid_type':
      if (issue.message.includes(', received ') && hasOwnWords(issue))
        return [{ path, at: 'value', message: issue.message }]
      return hasOwnWords(issue)
        ? say(issue.message)
        : say(`expected ${TYPES[issue.expected] ?? issue.expected}`)
    case 'too_small':
      if (issue.origin === 'array') return say('expected at least one entry')
      return hasOwnWords(issue) ? say(issue.message) : say('expected text that is not empty')
    default:
      return issue.message.includes(', received ')
        ? [{ path, at: 'value', message: issue.message }]
        : say(issue.message)
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  object: 'a mapping',
  array: 'a list',
}

/** Reports the branch the writer most likely meant: of the right type, then with the fewest problems. */
function describeUnion(
  issue: z.core.$ZodIssueInvalidUnion,
  path: readonly PropertyKey[],
  checked: Checked,
  received: unknown,
): DescribedIssue[] {
  const branches: readonly (readonly ZodIssue[])[] = issue.errors
  const fitting = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && isTypeIssue(issue)),
  )
  if (fitting.length > 0) {
    const best = fitting.reduce((a, b) => (countProblems(b) < countProblems(a) ? b : a))
    return best.flatMap((issue) => describeIssue(issue, path, checked))
  }
  const parts = branches.map((issues) => describeIssue(issues[0]!, path, checked)[0]!.message)
  const expected = parts.map((part) => part.replace(/^expected /, '').replace(/, received [\s\S]*$/, ''))
  const values = branches
    .flat()
    .flatMap((issue) => (issue.code === 'invalid_value' ? issue.values.map(String) : []))
  const hint = typeof received === 'string' ? suggestName(received, values) : ''
  const choice = hasOwnWords(issue) ? issue.message : `expected ${[...new Set(expected)].join(' or ')}`
  return [{ path, at: 'value', message: `${choice}, received ${describeValue(received)}${hint}` }]
}

/** Whether the schema says itself what it expects. */
function hasOwnWords({ message }: ZodIssue): boolean {
  return message.startsWith('expected ')
}

function isTypeIssue(issue: ZodIssue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value'
}

function countProblems(issues: readonly ZodIssue[]): number {
  return issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0)
}

function listValues(values: readonly string[]): string {
  const quoted = values.map((value) => `"${value}"`)
  return quoted.length === 1 ? quoted[0]! : `one of ${quoted.join(', ')}`
}

/**
 * The same key elsewhere in the config, what another trainer calls by this name, the nearest key of the same mapping,
 * else the keys there are.
 */
function keyHint(key: string, path: readonly PropertyKey[], schema: JsonSchema): string {
  const known = keysAt(schema, path)
  if (known.includes(key)) return ` (it does not go together with the other keys of ${path.join('.')})`
  const paths = allKeyPaths(schema)
  const elsewhere = pathOfKey(key, paths)
  if (elsewhere !== undefined) return ` (did you mean "${elsewhere}"?)`
  const reason = reasonForNoKey(key)
  if (reason !== undefined) return ` (there is no such key: ${reason})`
  const foreign = keyOfForeignName(key)
  // A study has keys of its own.
  if (foreign !== undefined && paths.includes(foreign)) return ` (did you mean "${foreign}"?)`
  const near = suggestName(key, known)
  if (near !== '') return near
  const far = nearestPath(key, paths)
  if (far !== undefined) return ` (did you mean "${far}"?)`
  return known.length === 0 ? '' : ` (known keys: ${known.join(', ')})`
}

let schemaForHints: JsonSchema | undefined

function cachedSchema(): JsonSchema {
  schemaForHints ??= configJsonSchema()
  return schemaForHints
}

export type JsonSchema = {
  readonly properties?: Record<string, JsonSchema>
  readonly items?: JsonSchema
  readonly anyOf?: JsonSchema[]
}

function branchesOf(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(branchesOf)
}

function keysAt(root: JsonSchema, path: readonly PropertyKey[]): string[] {
  let level = branchesOf(root)
  for (const part of path) {
    level = level.flatMap((schema) => {
      const next = typeof part === 'number' ? schema.items : schema.properties?.[String(part)]
      return next === undefined ? [] : branchesOf(next)
    })
  }
  return [...new Set(level.flatMap((schema) => Object.keys(schema.properties ?? {})))]
}

/** The path of a key of this name, the least deep where there are several. */
export function pathOfKey(name: string, paths: readonly string[]): string | undefined {
  const found = paths.filter((path) => path === name || path.endsWith(`.${name}`))
  const depth = (path: string) => path.split('.').length
  return found.length === 0 ? undefined : found.reduce((a, b) => (depth(b) < depth(a) ? b : a))
}

/** The path of the key that is spelled most like this name. */
export function nearestPath(name: string, paths: readonly string[]): string | undefined {
  const leaf = nearestName(name, [...new Set(paths.map((path) => path.split('.').at(-1)!))])
  return leaf === undefined ? undefined : pathOfKey(leaf, paths)
}

/** Dotted paths of all keys that are reached by names; those inside of lists are left out. */
export function allKeyPaths(schema: JsonSchema, path: readonly string[] = []): string[] {
  return branchesOf(schema).flatMap((branch) =>
    Object.entries(branch.properties ?? {}).flatMap(([key, child]) => [
      [...path, key].join('.'),
      ...allKeyPaths(child, [...path, key]),
    ]),
  )
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let here = input
  for (const part of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return undefined
    here = (here as Record<PropertyKey, unknown>)[part]
  }
  return here
}
