import { describe, expect, it } from 'vitest'
import type { Gate } from '../method/contract.js'
import { type AnyGateDefinition, defineGate } from '../method/define-method.js'
import { oneOf, real, whole } from '../method/option-table.js'
import { describeOption, methodSchema, optionsByKey, ownRangeIssues, partSchema } from './method-schema.js'

const gate = { about: 'x', units: ['sample'], applies: ['loss'], view: 'batch' } as const
const create = (): Gate => ({ weights: ({ score }) => score })
const share = defineGate({
  ...gate,
  kind: 'share',
  options: { keepBest: real({ above: 0, max: 1 }, 0.5, 'Share kept') },
  create,
})
const count = defineGate({
  ...gate,
  kind: 'count',
  options: { keepBest: whole({ min: 2 }, 8, 'Number kept.') },
  create,
})
const KINDS = new Map<string, AnyGateDefinition>([
  ['share', share],
  ['count', count],
])

describe('an option that two kinds have with different ranges', () => {
  const issuesOf = (kind: string, value: unknown) =>
    ownRangeIssues({ keep_best: value, other: 1 }, kind, optionsByKey(KINDS)).map(({ message }) => message)

  it('is checked against the range of its own kind, which the message names', () => {
    expect(issuesOf('share', 8)).toEqual(['expected a number in (0, 1]'])
    expect(issuesOf('share', 0.25)).toEqual([])
    expect(issuesOf('count', 0.25)).toEqual(['expected a whole number >= 2'])
    expect(issuesOf('count', 8)).toEqual([])
  })

  it('is in the schema with both, each with what it means there', () => {
    const schema = partSchema(KINDS, 'Gate.')
    expect(schema.safeParse({ keep_best: 0.25 }).success).toBe(true)
    expect(schema.safeParse({ kind: 'share', keep_best: 8 }).success).toBe(true)
    expect(schema.safeParse({ keep_best: -1 }).success).toBe(false)
    const described = (schema.shape as Readonly<Record<string, { readonly description?: string }>>).keep_best!
    expect(described.description).toBe('share: Share kept. Default 0.5. count: Number kept. Default 8.')
  })
})

describe('the schema of a method', () => {
  it('fills in the options of the kind, in the order of its table', () => {
    const { gate: filled } = methodSchema.parse({ gate: { kind: 'calibrated-sigmoid', ess: 0.5 } })
    expect(JSON.stringify(filled)).toBe(
      '{"kind":"calibrated-sigmoid","ess":0.5,"edr":0.3,"update_every":50,"warmup_ratio":0.1,"anneal":false,"anneal_from":0.1,"anneal_to":0.8,"floor":0,"trust":"off"}',
    )
  })

  it('says a default once', () => {
    expect(describeOption(oneOf(['a', 'b'], 'a', 'Which one'))).toBe('Which one. Default a.')
    expect(describeOption(real({}, () => 1, 'Follows. Default 2 x.'))).toBe('Follows. Default 2 x.')
  })
})
