import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ChatContent } from '../dataset/index.js'
import { parseRecord } from '../dataset/parse-record.js'
import { compileChatTemplate, renderChat } from './index.js'

interface Golden {
  readonly templates: Readonly<Record<string, string>>
  readonly records: readonly { readonly line: string; readonly texts: Readonly<Record<string, string>> }[]
}

const file = new URL('../../golden/chat-records/case.json', import.meta.url)
const { templates, records } = (JSON.parse(readFileSync(file, 'utf8')) as { readonly values: Golden }).values

/** The conversation of a line as a tokenising thread gets it. */
function read(line: string): ChatContent {
  const place = { number: 1, byteOffset: 0, bytes: Buffer.from(line) }
  return structuredClone(parseRecord(place, { path: '/a', name: 'a', entry: 0 }, 'a').content as ChatContent)
}

describe('numbers, texts and the order of keys in a record are written as Python writes them', () => {
  it.each(Object.keys(templates))('by %s', (name) => {
    const template = compileChatTemplate(templates[name]!, name)
    for (const { line, texts } of records) {
      expect(renderChat(template, read(line), {}, { assistantOnly: false }).text, line).toBe(texts[name])
    }
  })
})
