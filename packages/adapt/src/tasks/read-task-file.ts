import { existsSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { describeIssues } from '../config/describe-issues.js'
import { type ConfigIssue, type Environment, invalidConfig } from '../config/index.js'
import { locate, readConfigText } from '../config/load-config.js'
import { type ParsedYaml, parseYaml } from '../config/parse-yaml.js'
import { isObject, printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import {
  type GroupFile,
  groupJsonSchema,
  groupSchema,
  REFUSED_KEYS,
  type TaskFile,
  taskJsonSchema,
  taskSchema,
} from './task-schema.js'

/** Deepest chain of files that include each other. */
const MAX_INCLUDES = 16

/** A task as it is run: its file with what it includes. */
export interface Task {
  readonly name: string
  readonly file: string
  /** Folder that relative paths of its data start from. */
  readonly folder: string
  readonly config: TaskFile
  /** File, with line and column where they are known, and key of what the file says, for messages. */
  placeOf(path: readonly PropertyKey[]): string
}

/** A named list of tasks with what is reported of them together. */
export interface Group {
  readonly name: string
  readonly file: string
  readonly config: GroupFile
}

/** What a file of tasks holds. */
export type TaskOrGroup =
  | { readonly kind: 'task'; readonly task: Task }
  | { readonly kind: 'group'; readonly group: Group }

/**
 * Reads a task or a group from its file, with the files it includes: their keys hold where it has none of its own.
 * @throws {ConfigError} FILE_NOT_FOUND, INVALID_CONFIG with a line per problem, NESTED_TOO_DEEPLY.
 */
export async function readTaskFile(path: string, env: Environment): Promise<TaskOrGroup> {
  const layers = await readLayers(resolve(path), env, [])
  const value = Object.assign({}, ...[...layers].reverse().map(({ parsed }) => parsed.value as object))
  delete value.include
  return checkTask(value, path, (issuePath, at, message) => {
    const owner = layers.find(({ parsed }) => hasPath(parsed.value, issuePath)) ?? layers[0]!
    return locate(owner.parsed.places, issuePath, at, message)
  })
}

type Locate = (path: readonly PropertyKey[], at: 'key' | 'value', message: string) => ConfigIssue

/** Checks what a file, or an entry of a group, says of a task or group. @throws {ConfigError} INVALID_CONFIG */
export function checkTask(value: Record<string, unknown>, file: string, locateIssue: Locate): TaskOrGroup {
  const refused = Object.entries(REFUSED_KEYS).filter(
    ([key]) => Object.hasOwn(value, key) && value[key] !== false,
  )
  if (refused.length > 0) {
    throw invalidConfig(
      refused.map(([key, reason]) => locateIssue([key], 'key', `expected a task without ${key}: ${reason}`)),
    )
  }
  const isGroup = Object.hasOwn(value, 'group') || Array.isArray(value.task)
  const result = isGroup ? groupSchema.safeParse(value) : taskSchema.safeParse(value)
  if (!result.success) {
    const described = describeIssues(result.error.issues, value, isGroup ? groupJsonSchema : taskJsonSchema)
    throw invalidConfig(described.map((issue) => locateIssue(issue.path, issue.at, issue.message)))
  }
  if (isGroup) {
    const config = result.data as GroupFile
    return { kind: 'group', group: { name: config.group, file, config } }
  }
  const config = result.data as TaskFile
  const placeOf = (path: readonly PropertyKey[]): string => {
    const { where, path: key } = locateIssue(path, 'value', '')
    return `${where === '' ? printable(file) : where}: ${key}`
  }
  return { kind: 'task', task: { name: config.task, file, folder: dirname(resolve(file)), config, placeOf } }
}

interface Layer {
  readonly parsed: ParsedYaml
}

/** The file itself, then what it includes, nearest first. */
async function readLayers(path: string, env: Environment, open: readonly string[]): Promise<Layer[]> {
  const shown = printable(path)
  if (open.includes(path) || open.length > MAX_INCLUDES) {
    throw new ConfigError(
      'NESTED_TOO_DEEPLY',
      `${shown}: expected files that include others ${MAX_INCLUDES} deep at most, received one that includes itself or more`,
    )
  }
  const text = await readConfigText(path)
  const parsed = parseYaml(text, { env, label: (line, column) => `${shown}:${line}:${column}` })
  if (parsed.issues.length > 0) throw invalidConfig(parsed.issues.map(explainFunction))
  if (!isObject(parsed.value)) {
    throw invalidConfig([{ where: shown, path: '', message: 'expected the keys of a task, received none' }])
  }
  const { include } = parsed.value
  if (include === undefined) return [{ parsed }]
  const names = [include].flat()
  const wrong = names.find((name) => typeof name !== 'string')
  if (wrong !== undefined) {
    throw invalidConfig([locate(parsed.places, ['include'], 'value', 'expected a file, or a list of files')])
  }
  const layers: Layer[] = [{ parsed }]
  // Of several, the later ones hold.
  for (const name of [...(names as string[])].reverse()) {
    const included = isAbsolute(name) ? name : resolve(dirname(path), name)
    if (!existsSync(included)) {
      const message = `expected a file, received ${printable(name)}, which is not there`
      throw invalidConfig([locate(parsed.places, ['include'], 'value', message)])
    }
    layers.push(...(await readLayers(included, env, [...open, path])))
  }
  return layers
}

/** Tasks of the harness name Python functions by a tag. */
function explainFunction(issue: ConfigIssue): ConfigIssue {
  if (!issue.message.includes('!function')) return issue
  return {
    ...issue,
    message:
      'expected a template or a field, received a Python function (!function), which is not run: write the field as a Jinja template, or prepare the data beforehand',
  }
}

function hasPath(value: unknown, path: readonly PropertyKey[]): boolean {
  const [key] = path
  return key === undefined || (isObject(value) && Object.hasOwn(value, key))
}
