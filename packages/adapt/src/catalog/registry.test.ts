import { describe, expect, it } from 'vitest'
import { toCamelCase, toSnakeCase } from '../method/option-names.js'
import { fillOptions, type OptionTable } from '../method/option-table.js'
import { GATES, type GateKind, METHOD_IDS, METHODS, type MethodId, SIGNALS } from './registry.js'

const PARTS = [...SIGNALS.values(), ...GATES.values()]
const OPTIONS = PARTS.flatMap(({ kind, options }) =>
  Object.entries(options as OptionTable).map(([name, option]) => [`${kind} ${name}`, name, option] as const),
)

describe('the list of methods', () => {
  it('has every id once', () => {
    expect(new Set(METHOD_IDS).size).toBe(METHODS.length)
  })

  it('knows one definition of every kind', () => {
    for (const { signal, gate } of METHODS) {
      expect([SIGNALS.get(signal.kind), GATES.get(gate.kind)]).toEqual([signal, gate])
      expect(SIGNALS.get(signal.kind)).toBe(signal)
      expect(GATES.get(gate.kind)).toBe(gate)
    }
  })

  it('gives the compiler ids and kinds', () => {
    const id: MethodId = 'adapt-calibrated'
    const kind: GateKind = 'calibrated-sigmoid'
    // @ts-expect-error no such method
    const wrongId: MethodId = 'adapt-calibratd'
    // @ts-expect-error no such gate
    const wrongKind: GateKind = 'sigmod'
    expect([id, kind, wrongId, wrongKind]).toHaveLength(4)
  })

  it('has a signal that can score: while training, or by a preparation', () => {
    for (const { kind, create, prepare, byCode } of SIGNALS.values())
      expect([kind, create !== undefined || prepare !== undefined || byCode]).toEqual([kind, true])
  })
})

describe.each(OPTIONS)('option %s', (_, name, option) => {
  it('has a name that a config can write and code can read', () => {
    expect(toCamelCase(toSnakeCase(name))).toBe(name)
  })

  it('says in our words what it expects', () => {
    const issue = option.schema.safeParse(Symbol('no value')).error?.issues[0]
    const message = issue?.message ?? ''
    // Mappings and lists are described by the config.
    expect(message).toMatch(/^expected |expected (record|array|string)/)
  })

  it('is no number without end', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(option.schema.safeParse(value).success).toBe(false)
  })

  it('may have its default, once the others have theirs', () => {
    const part = PARTS.find(({ options }) => options[name] === option)!
    const value = fillOptions(part.options, {})[name]
    // A name has no default that would do.
    if (value !== '') expect(option.schema.safeParse(value).success).toBe(true)
  })
})
