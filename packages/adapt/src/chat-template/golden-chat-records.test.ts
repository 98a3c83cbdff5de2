import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ChatContent, readDocuments, resolveSources } from '../dataset/index.js'
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

describe('values of a table', () => {
  it('are written with their digits, the kind of their numbers and the order of their keys', async () => {
    const folder = path.resolve(import.meta.dirname, '../../golden/data-files')
    const wanted = JSON.parse(readFileSync(path.join(folder, 'values.json'), 'utf8')) as [string, string][]
    const template = compileChatTemplate('{{ messages | tojson }}\n{{ tools | tojson }}', 'json')
    const written: string[] = []
    for await (const { content } of readDocuments(
      await resolveSources([{ path: 'values.parquet' }], folder),
    )) {
      const chat = structuredClone(content as ChatContent)
      written.push(renderChat(template, chat, {}, { assistantOnly: false }).text)
    }
    expect(written).toEqual(wanted.map((texts) => texts.join('\n')))
  })
})
