import { describe, expect, it } from 'vitest'
import { configJsonSchema } from './run-config.js'

describe('configJsonSchema', () => {
  it('describes every key for editors', () => {
    const undescribed: string[] = []
    const walk = (schema: Record<string, unknown>, path: string) => {
      for (const [key, child] of Object.entries(
        (schema.properties ?? {}) as Record<string, Record<string, unknown>>,
      )) {
        if (typeof child.description !== 'string') undescribed.push(`${path}.${key}`)
        walk(child, `${path}.${key}`)
      }
      for (const branch of (schema.anyOf ?? []) as Record<string, unknown>[]) walk(branch, path)
      if (schema.items !== undefined) walk(schema.items as Record<string, unknown>, `${path}[]`)
    }
    const schema = configJsonSchema()
    walk(schema, '')
    expect(undescribed).toEqual([])
    expect(schema).toMatchObject({
      type: 'object',
      required: ['model', 'data', 'output_dir'],
      additionalProperties: false,
      properties: { training: { properties: { learning_rate: { default: 5e-4, minimum: 1e-12 } } } },
    })
  })
})
