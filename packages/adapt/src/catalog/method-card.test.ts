import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { realNumber, wholeNumber } from '../method/number-ranges.js'
import { describeType, methodCard } from './method-card.js'
import { findMethod, METHODS } from './registry.js'

describe('describeType', () => {
  it.each([
    [realNumber({ above: 0, max: 1 }), 'number in (0, 1]'],
    [realNumber({ min: 0, below: 1 }), 'number in [0, 1)'],
    [realNumber({ above: 0 }), 'number > 0'],
    [realNumber({ max: 3 }), 'number <= 3'],
    [realNumber(), 'number'],
    [wholeNumber(), 'whole number'],
    [z.union([wholeNumber({ min: 1 }), z.literal('epoch')]), 'whole number >= 1 or "epoch"'],
    [z.enum(['a', 'b']), 'a | b'],
    [z.boolean(), 'true | false'],
    [z.string(), 'text'],
    [z.array(z.string()), 'list of text'],
    [z.record(z.string(), z.number()), 'mapping'],
  ])('says type and range in words: %#', (schema, words) => {
    expect(describeType(z.toJSONSchema(schema, { io: 'input' }))).toBe(words)
  })
})

describe('methodCard', () => {
  it('has the options as the method sets them', () => {
    const { signal } = methodCard(findMethod('adapt-calibrated')!)
    expect(signal.options.find(({ key }) => key === 'center')).toMatchObject({
      type: 'true | false',
      fallback: true,
    })
  })

  it('counts what the anchors cost: twenty times 400 of 512 tokens, at 2 N against 6 N', () => {
    const { cost } = methodCard(findMethod('adapt')!)
    expect(cost.signal).toBeCloseTo((20 * 400 * 512 * 2) / (6 * 5.12e7), 12)
    expect([cost.preparation, cost.scoring, cost.scoringOfOne]).toEqual([0, 0, 0])
  })

  it.each(
    METHODS.map((method) => [method.id, method] as const),
  )('says type and default of every option of %s', (_, method) => {
    const { signal, gate, cost } = methodCard(method)
    for (const { key, type, help, fallback } of [...signal.options, ...gate.options]) {
      expect([key, type === '', help === '', fallback === undefined]).toEqual([key, false, false, false])
    }
    expect(Object.values(cost).every((share) => Number.isFinite(share) && share >= 0)).toBe(true)
  })
})
