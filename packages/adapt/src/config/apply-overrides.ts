import { printable } from '../dataset/index.js'
import { describeValue } from '../method/describe-value.js'
import type { ConfigIssue } from './config-issue.js'
import type { Environment } from './interpolate.js'
import { type ParsedYaml, parseYaml, placeKey } from './parse-yaml.js'

type Places = Map<string, { readonly key: string; readonly value: string }>
type Container = Record<string, unknown> | unknown[]

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype', ''])

/**
 * Applies `--set a.b=value` to a parsed config, in order. The value is read as YAML (a scalar or a flow such as
 * `[a, b]`), so `--set training.seed=3` is a number. List items are reached by number (`data.train.0.limit=10`).
 * Short forms open up where needed: `method: adapt` becomes `{ preset: adapt }`, a bare source `{ path }`.
 */
export function applyOverrides(
  parsed: ParsedYaml,
  assignments: readonly string[],
  env: Environment,
): ParsedYaml {
  const issues: ConfigIssue[] = [...parsed.issues]
  const places: Places = new Map(parsed.places)
  const value = structuredClone(parsed.value) ?? (assignments.length > 0 ? {} : null)
  for (const assignment of assignments) {
    const where = `--set ${printable(assignment, 80)}`
    const equals = assignment.indexOf('=')
    const path = assignment.slice(0, Math.max(0, equals)).trim().split('.')
    if (equals < 1 || path.some((key) => FORBIDDEN.has(key))) {
      issues.push({ where, path: '', message: 'expected key.path=value' })
      continue
    }
    const parsedValue = parseYaml(assignment.slice(equals + 1), { env, label: () => where, root: path })
    issues.push(...parsedValue.issues)
    if (parsedValue.issues.length > 0) continue
    const problem = assign(value, path, parsedValue.value)
    if (problem !== undefined) {
      issues.push({ where, path: path.join('.'), message: problem })
      continue
    }
    movePlaces(places, path, where, parsedValue.places)
  }
  return { value, places, issues }
}

/** Sets the value at the path; returns what is wrong with the path, if anything. */
function assign(root: unknown, path: readonly string[], value: unknown): string | undefined {
  let here = root
  for (const [depth, key] of path.entries()) {
    const shown = path.slice(0, depth).join('.') || 'the config'
    if (!isContainer(here))
      return `expected ${shown} to be a mapping or a list, received ${describeValue(here)}`
    if (Array.isArray(here) && (!/^\d+$/.test(key) || Number(key) > here.length)) {
      return `expected an item number from 0 to ${here.length} for ${shown}, received "${printable(key, 60)}"`
    }
    const container = here as Record<string, unknown>
    if (depth === path.length - 1) {
      container[key] = value
      return undefined
    }
    container[key] = openShortForm(Object.hasOwn(container, key) ? container[key] : undefined, path, depth)
    here = container[key]
  }
  return undefined
}

function openShortForm(value: unknown, path: readonly string[], depth: number): unknown {
  if (value === undefined || value === null) return {}
  if (typeof value !== 'string') return value
  if (depth === 0 && path[0] === 'method') return { preset: value }
  return /^(?:data\.train|anchors|evaluation\.sets)\.\d+$/.test(path.slice(0, depth + 1).join('.'))
    ? { path: value }
    : value
}

function movePlaces(
  places: Places,
  path: readonly string[],
  where: string,
  added: ParsedYaml['places'],
): void {
  const prefix = placeKey(path)
  for (const key of [...places.keys()]) {
    if (key === prefix || key.startsWith(`${prefix}\0`)) places.delete(key)
  }
  for (const [key, place] of added) places.set(key, place)
  places.set(prefix, { key: where, value: where })
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null
}
