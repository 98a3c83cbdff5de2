import type { Normalizer } from '../loss/index.js'
import type { AnyGateDefinition, AnySignalDefinition, MethodDefinition } from '../method/define-method.js'
import { describeValue } from '../method/describe-value.js'
import { suggestName } from '../method/nearest-name.js'
import { toCamelCase, toSnakeCase } from '../method/option-names.js'
import { fillOptions, type OptionTable } from '../method/option-table.js'
import type { MethodConfig, MethodInput } from './method-config.js'
import { DEFAULT_METHOD, findMethod, GATES, SIGNALS } from './registry.js'

/**
 * Told of a key that cannot stay.
 * @param what  `key`: there is no such key here; `value`: it cannot have this value.
 */
export type ReportProblem = (path: readonly string[], message: string, what: 'key' | 'value') => void

/**
 * Fills in a method: the preset's values (default preset `adapt`), or the kind's own defaults when the user names another kind, then the
 * user's keys. A key that the kind does not have, or a value out of its range, is reported.
 */
export function resolveMethod(input: MethodInput, report: ReportProblem): MethodConfig {
  const preset = input.preset ?? DEFAULT_METHOD
  const method = findMethod(preset)!
  const config = {
    preset,
    signal: resolvePart('signal', method, SIGNALS, input.signal, report),
    gate: resolvePart('gate', method, GATES, input.gate, report),
    apply: input.apply ?? method.apply,
    ...(input.shuffle === true ? { shuffle: true } : {}),
    ...(input.collapse === undefined ? {} : { collapse: input.collapse }),
    ...(input.normalizer === undefined ? {} : { normalizer: input.normalizer }),
  }
  return config as MethodConfig
}

function resolvePart(
  part: 'signal' | 'gate',
  method: MethodDefinition,
  kinds: ReadonlyMap<string, AnySignalDefinition | AnyGateDefinition>,
  input: Readonly<Record<string, unknown>> = {},
  report: ReportProblem,
): { readonly kind: string } {
  const own = method[part].kind
  const kind = typeof input.kind === 'string' ? input.kind : own
  const definition = kinds.get(kind)
  if (definition === undefined) {
    const known = [...kinds.keys()]
    const message = `expected one of ${known.join(', ')}, received "${kind}"${suggestName(kind, known)}`
    report([part, 'kind'], message, 'value')
    return { kind }
  }
  const given = readOptions(part, definition, input, report)
  const options = fillOptions(definition.options, {
    ...(kind === own ? method.preset?.[part] : {}),
    ...given,
  })
  return { kind, ...toConfigKeys(options) }
}

/** The user's options by their names in the table. */
function readOptions(
  part: 'signal' | 'gate',
  { kind, options }: AnySignalDefinition | AnyGateDefinition,
  input: Readonly<Record<string, unknown>>,
  report: ReportProblem,
): Record<string, unknown> {
  const table: OptionTable = options
  const given: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(input)) {
    if (key === 'kind' || value === undefined) continue
    const name = toCamelCase(key)
    const option = Object.hasOwn(table, name) && toSnakeCase(name) === key ? table[name] : undefined
    if (option === undefined) {
      const keys = Object.keys(table).map(toSnakeCase)
      const known = keys.length === 0 ? 'it has none' : keys.join(', ')
      const message = `expected an option of ${part} kind "${kind}" (${known}), received "${key}"${suggestName(key, keys)}`
      report([part, key], message, 'key')
      continue
    }
    const issue = option.schema.safeParse(value).error?.issues[0]
    // The default of a name is none, which a config that is whole has written out.
    if (issue !== undefined && value !== option.fallback) {
      const path = [part, key, ...issue.path.map(String)]
      report(path, `${issue.message}, received ${describeValue(valueAt(value, issue.path))}`, 'value')
    }
    given[name] = value
  }
  return given
}

/** Options as a config writes them: snake_case. */
export function toConfigKeys(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [toSnakeCase(name), value]))
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((here, key) => (here as Record<PropertyKey, unknown> | undefined)?.[key], value)
}

/**
 * The normaliser of the weighted loss: the method's own, else token forms when every training document is plain text and sample forms
 * otherwise; self-normalised (`wmean`) unless the method's definition says otherwise.
 */
export function resolveNormalizer(
  { preset, normalizer }: Pick<MethodConfig, 'preset' | 'normalizer'>,
  allPlainText: boolean,
): Normalizer {
  if (normalizer !== undefined) return normalizer
  const unit = allPlainText ? 'token' : 'sample'
  return findMethod(preset)?.normalizer?.(unit) ?? `${unit}.wmean`
}
