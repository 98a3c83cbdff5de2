import { cpSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { dataFolder } from './data-folder.test.fixture.js'
import type { DataSource } from './document.js'
import { type ReadOptions, readRecords } from './read-documents.js'
import { resolveSources } from './resolve-sources.js'

const folder = dataFolder()

async function linesOf(source: string | DataSource, options?: ReadOptions): Promise<string[]> {
  const entry = typeof source === 'string' ? { path: source } : source
  const lines: string[] = []
  for await (const record of readRecords(await resolveSources([entry], folder.path()), options))
    lines.push(record.json())
  return lines
}

/** What the documents say, without the places that another file gives them. */
async function contentsOf(source: string | DataSource) {
  return (await folder.read(source)).map(({ content, weight }) => ({ content, weight }))
}

describe('readRecords', () => {
  it('gives lines of JSON byte for byte: digits beyond doubles, escapes, order and spaces', async () => {
    const lines = [
      '{"text": "a\\u0062 \\"}", "big": 12345678901234567890, "f": 1.0, "e": 1E-7, "10": null, "2": [ ]}',
      '{"prompt":"p","completion":"c","meta":{"k":-0.0}}',
    ]
    folder.put('a.jsonl', `${lines[0]}\r\n\n  ${lines[1]}`)
    expect(await linesOf('a.jsonl')).toEqual(lines)
  })

  it('puts records of a JSON array on a line each', async () => {
    folder.put(
      'a.json',
      '[\n  {\n    "text": "two\\nlines   here",\n    "n": 12345678901234567890\n  },\n {"text":"b"}]',
    )
    expect(await linesOf('a.json')).toEqual([
      '{ "text": "two\\nlines   here", "n": 12345678901234567890 }',
      '{"text":"b"}',
    ])
  })

  it('gives every column of CSV, and what reads the same again', async () => {
    folder.put('a.csv', 'text,weight,extra,none\n"one, ""two""\nthree",+.5,007,\nfour,1,"",x\n')
    const lines = await linesOf('a.csv')
    expect(lines).toEqual([
      '{"text":"one, \\"two\\"\\nthree","weight":0.5,"extra":"007","none":null}',
      '{"text":"four","weight":1,"extra":"","none":"x"}',
    ])
    folder.put('b.jsonl', lines.join('\n'))
    expect(await contentsOf('b.jsonl')).toEqual(await contentsOf('a.csv'))
  })

  it('keeps conversations in CSV conversations, under the name of their column', async () => {
    const talk = '[{""role"": ""user"", ""content"": ""hi""}, {""role"": ""assistant"", ""content"": ""ho""}]'
    folder.put('a.csv', `talk,id\n"${talk}",7\n`)
    const columns = { messages: 'talk' }
    const lines = await linesOf({ path: 'a.csv', columns })
    expect(lines).toEqual([
      '{"talk":[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],"id":"7"}',
    ])
    folder.put('b.jsonl', lines.join('\n'))
    expect(await contentsOf({ path: 'b.jsonl', columns })).toEqual(
      await contentsOf({ path: 'a.csv', columns }),
    )
  })

  it('makes a text file a record', async () => {
    folder.put('a.txt', 'one\ntwo')
    expect(await linesOf('a.txt')).toEqual(['{"text":"one\\ntwo"}'])
  })

  it('passes over what readDocuments passes over', async () => {
    folder.put('a.jsonl', '{"text":"a"}\n{"text":5}\n{"text":"b"}\n{"text":"c"}\n')
    expect(await linesOf({ path: 'a.jsonl', limit: 2 }, { maxBadRecords: 1 })).toEqual([
      '{"text":"a"}',
      '{"text":"b"}',
    ])
  })

  const golden = path.resolve(import.meta.dirname, '../../golden/data-files')

  it('gives every column of a table, and documents that are the same', async () => {
    cpSync(path.join(golden, 'snappy.parquet'), path.join(folder.path(), 'a.parquet'))
    const lines = await linesOf('a.parquet')
    folder.put('b.jsonl', lines.join('\n'))
    expect(await contentsOf('b.jsonl')).toEqual(await contentsOf('a.parquet'))
    expect(lines[0]).toMatch(/"id":9007199254740993[,}]/)
  })

  it('keeps of numbers in a table all digits, and floats floats', async () => {
    cpSync(path.join(golden, 'values.parquet'), path.join(folder.path(), 'a.parquet'))
    const [first] = await linesOf('a.parquet')
    const [messages] = (JSON.parse(readFileSync(path.join(golden, 'values.json'), 'utf8')) as string[][])[0]!
    // As Python writes them, but for spaces and the exponents of two floats.
    const wanted = messages!
      .replace(/(?<=[:,]) /g, '')
      .replace('1e+16', '10000000000000000.0')
      .replace('1e-05', '0.00001')
    expect(first).toContain(`"messages":${wanted}`)
    expect(first).toContain('"10":12345678901234567890')
  })
})
