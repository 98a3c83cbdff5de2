import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ChatContent } from '../dataset/index.js'
import { tokenizeDocuments } from './tokenize-documents.js'
import { loadTokenizer } from './tokenizer.js'

describe('the golden masks of transformers', () => {
  const read = (name: string) =>
    JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../golden', name), 'utf8'))
  const { values } = read('chat-templates/case.json') as {
    readonly values: {
      readonly conversations: Readonly<Record<string, Pick<ChatContent, 'messages' | 'tools'>>>
      readonly masks: {
        readonly template: string
        readonly conversations: Readonly<Record<string, { readonly ids: number[]; readonly mask: number[] }>>
      }
    }
  }
  const { template, conversations } = values.masks

  it.each(Object.keys(conversations))('are those of our samples (%s)', async (name) => {
    const example = loadTokenizer(path.resolve(import.meta.dirname, '../../../../examples/tokenizer'), {
      configured: template,
    })
    const { ids, mask } = conversations[name]!
    const content = { kind: 'chat', ...values.conversations[name]! } as const
    const dataset = await tokenizeDocuments(
      [{ id: 'd1', source: 's', path: 'p.jsonl', line: 1, byteOffset: 0, weight: 1, content }],
      example,
      4096,
    )
    const { tokens, labelMask } = dataset.sample(0)
    expect([...tokens]).toEqual(ids)
    expect([...labelMask]).toEqual(mask)
    expect(mask).toContain(1)
  })
})
