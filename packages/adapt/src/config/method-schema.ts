import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { DEFAULT_METHOD, findMethod, GATES, METHOD_IDS, resolveMethod, SIGNALS } from '../catalog/index.js'
import { NORMALIZERS } from '../loss/index.js'
import type { AnyGateDefinition, AnySignalDefinition } from '../method/define-method.js'
import { toSnakeCase } from '../method/option-names.js'
import type { Option } from '../method/option-table.js'

type Definition = AnySignalDefinition | AnyGateDefinition
/** An option of one or several kinds under the same name. */
type SharedOption = { readonly kind: string; readonly option: Option<unknown> }[]

/** All options of all kinds of a part by their names in a config. */
export function optionsByKey(kinds: ReadonlyMap<string, Definition>): ReadonlyMap<string, SharedOption> {
  const found = new Map<string, SharedOption>()
  for (const { kind, options } of kinds.values()) {
    for (const [name, option] of Object.entries(options)) {
      const key = toSnakeCase(name)
      found.set(key, [...(found.get(key) ?? []), { kind, option: option as Option<unknown> }])
    }
  }
  return found
}

/** The different types and ranges that an option has in the kinds that share its name. */
function distinctSchemas(shared: SharedOption): z.ZodType[] {
  const schemas = [...new Set(shared.map(({ option }) => option.schema))]
  // Every start of the program comes here, and most options are of one kind.
  if (schemas.length === 1) return schemas
  const distinct: { readonly schema: z.ZodType; readonly json: unknown }[] = []
  for (const schema of schemas) {
    const json = z.toJSONSchema(schema, { io: 'input' })
    if (!distinct.some((known) => isDeepStrictEqual(known.json, json))) distinct.push({ schema, json })
  }
  return distinct.map(({ schema }) => schema)
}

/** "kind, kind: what it is. Default." for every group of kinds that says the same. */
function describeShared(shared: SharedOption): string {
  const kindsByText = new Map<string, string[]>()
  for (const { kind, option } of shared) {
    const text = describeOption(option)
    kindsByText.set(text, [...(kindsByText.get(text) ?? []), kind])
  }
  return [...kindsByText].map(([text, kinds]) => `${kinds.join(', ')}: ${text}`).join(' ')
}

/** Its help, with the default where the help does not say it itself. */
export function describeOption({ help, fallback }: Option<unknown>): string {
  const sentence = help.endsWith('.') ? help : `${help}.`
  if (typeof fallback === 'function' || typeof fallback === 'object' || fallback === '') return sentence
  return `${sentence} Default ${String(fallback)}.`
}

/** Any option of any kind of a part; an option that several kinds have may be in the range of any of them. */
export function partSchema(kinds: ReadonlyMap<string, Definition>, about: string) {
  const options = Object.fromEntries(
    [...optionsByKey(kinds)].map(([key, shared]) => {
      const [first, ...others] = distinctSchemas(shared)
      const schema = others.length === 0 ? first! : z.union([first!, ...others])
      return [key, z.exactOptional(schema).describe(describeShared(shared))]
    }),
  )
  const names = [...kinds.keys()] as [string, ...string[]]
  const kind = z
    .exactOptional(z.enum(names))
    .describe(`${[...kinds.values()].map(({ kind, about }) => `${kind}: ${about}`).join('; ')}.`)
  return z.strictObject({ kind, ...options }).describe(about)
}

const PARTS = { signal: SIGNALS, gate: GATES } as const

const methodMapping = z.strictObject({
  preset: z
    .exactOptional(z.enum(METHOD_IDS))
    .describe(`Named composition that the other keys refine. Default ${DEFAULT_METHOD}.`),
  signal: z.exactOptional(partSchema(SIGNALS, 'Signal: what is measured.')),
  gate: z.exactOptional(partSchema(GATES, 'Gate: how a score becomes a weight.')),
  apply: z
    .exactOptional(z.enum(['loss', 'sample', 'mask']))
    .describe(
      'What the weight does: scale the loss, share out what is read next, or decide what is trained at all. ' +
        'Default: that of the preset.',
    ),
  shuffle: z
    .exactOptional(z.boolean())
    .describe('Control: deal the weights of each step out anew among samples of like length. Default false.'),
  collapse: z
    .exactOptional(z.literal('source'))
    .describe('Control: give each sample the mean weight of its source.'),
  normalizer: z
    .exactOptional(z.enum(NORMALIZERS))
    .describe(
      'What the weighted loss is divided by. Default: token forms when all data is plain text, sample ' +
        'forms else; wmean unless the method is defined by another.',
    ),
})

const SHARED_BY_KEY = { signal: optionsByKey(SIGNALS), gate: optionsByKey(GATES) } as const

/**
 * Checks options whose name several kinds have with different types or ranges against those of their own kind. It comes before the rest,
 * where any of the kinds' ranges would do.
 */
function checkContested(method: unknown, context: z.RefinementCtx): unknown {
  for (const part of ['signal', 'gate'] as const) {
    const options = (method as Record<string, unknown> | null)?.[part]
    if (typeof options !== 'object' || options === null) continue
    const kind = kindOf(part, method as Readonly<Record<string, unknown>>)
    for (const { path, message } of ownRangeIssues(options, kind, SHARED_BY_KEY[part])) {
      context.addIssue({
        code: 'custom',
        path: [part, ...path],
        message: `${message} for ${part} kind "${kind}"`,
      })
    }
  }
  return method
}

/** What is wrong by the kind's own ranges in options that other kinds have with other ranges. */
export function ownRangeIssues(
  options: object,
  kind: string | undefined,
  sharedByKey: ReadonlyMap<string, SharedOption>,
): { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  return Object.entries(options).flatMap(([key, value]) => {
    const shared = sharedByKey.get(key) ?? []
    const own = shared.find((candidate) => candidate.kind === kind)?.option
    if (own === undefined || distinctSchemas(shared).length < 2) return []
    const issues = own.schema.safeParse(value).error?.issues ?? []
    return issues.map(({ path, message }) => ({ path: [key, ...path], message }))
  })
}

/** The kind that a part has, by its own key or that of the preset. */
function kindOf(part: 'signal' | 'gate', method: Readonly<Record<string, unknown>>): string | undefined {
  const own = (method[part] as { readonly kind?: unknown }).kind
  if (typeof own === 'string') return PARTS[part].has(own) ? own : undefined
  const preset = method.preset ?? DEFAULT_METHOD
  return typeof preset === 'string' ? findMethod(preset)?.[part].kind : undefined
}

/** A preset's name or a mapping; the output has every option of its signal and gate filled in. */
export const methodSchema = z
  .union([z.enum(METHOD_IDS).describe('A preset.'), z.preprocess(checkContested, methodMapping)])
  .transform((method, context) =>
    resolveMethod(
      typeof method === 'string' ? { preset: method } : (method as Parameters<typeof resolveMethod>[0]),
      (path, message) => context.addIssue({ code: 'custom', path: [...path], message }),
    ),
  )
  .describe('How training data is curated: a preset or a composition.')
