import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import type { DataSource, Document } from './document.js'
import { splitCsv } from './read-csv.js'
import { type ReadOptions, readDocuments } from './read-documents.js'
import { resolveSources } from './resolve-sources.js'
import { splitJson } from './split-json.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-formats-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function put(name: string, content: string | Buffer): string {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
  writeFileSync(path.join(folder, name), content)
  return name
}

async function read(source: string | DataSource, options?: ReadOptions): Promise<Document[]> {
  const entry = typeof source === 'string' ? { path: source } : source
  const documents: Document[] = []
  for await (const document of readDocuments(await resolveSources([entry], folder), options))
    documents.push(document)
  return documents
}

async function errorOf(source: string | DataSource): Promise<string> {
  const error = await read(source).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(AdaptError)
  expect((error as AdaptError).message).not.toContain('\n')
  return `${(error as AdaptError).exitCode} ${(error as AdaptError).code} ${(error as AdaptError).message}`
}

const textsOf = (documents: readonly Document[]) =>
  documents.map(({ content }) => (content.kind === 'text' ? content.text : content))

/** The bytes in pieces of `size`. */
async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('.json files', () => {
  const records = [
    { text: 'a "quoted" ] } text', id: 9 },
    { text: 'back\\slash\\' },
    { text: 'ä€🍎\n' },
    { text: '[' },
  ]

  it('hold an array of records, however it is laid out, packed or not', async () => {
    put('a.json', JSON.stringify(records, null, 2))
    put('b.json', ` [\n${records.map((r) => JSON.stringify(r)).join(' ,\n')}]\n\n`)
    put('c.json.gz', gzipSync(JSON.stringify(records)))
    for (const name of ['a.json', 'b.json', 'c.json.gz']) {
      const documents = await read(name)
      expect(textsOf(documents)).toEqual(records.map(({ text }) => text))
      expect(documents.map(({ id }) => id)).toEqual(['9', `${name}:2`, `${name}:3`, `${name}:4`])
    }
  })

  it('may hold records after one another, as .jsonl does, or a single one', async () => {
    put('a.json', records.map((r) => JSON.stringify(r)).join('\n'))
    put('b.json', JSON.stringify(records[0], null, 2))
    expect(textsOf(await read('a.json'))).toEqual(records.map(({ text }) => text))
    expect(textsOf(await read('b.json'))).toEqual([records[0]!.text])
  })

  it('are cut at the same places whatever the pieces they come in', async () => {
    const bytes = Buffer.from(` [${records.map((r) => JSON.stringify(r, null, 1)).join(', ')}, "x", 1.5 ] `)
    const refuse = (_: unknown, problem: string): never => {
      throw new Error(problem)
    }
    for (let size = 1; size <= bytes.length; size++) {
      const items: string[] = []
      for await (const lines of splitJson(pieces(bytes, size), refuse)) {
        for (const line of lines) {
          expect(bytes.toString('utf8', line.byteOffset, line.byteOffset + line.bytes.length)).toBe(
            line.bytes.toString(),
          )
          items.push(line.bytes.toString())
        }
      }
      expect(items.map((item) => JSON.parse(item) as unknown)).toEqual([...records, 'x', 1.5])
    }
  })

  it.each([
    ['[{"text": "a"}, {"text": 3}]', 'a.json:2 (line 1, byte 16): "text": expected a string'],
    ['[{"text": "a"},\n\n {"texxt": "b"}]', 'a.json:2 (line 3, byte 18): expected a record with the key'],
    ['[{"text": "a"} {"text": "b"}]', 'a.json:2 (line 1, byte 15): expected a comma or the end of the array'],
    ['[{"text": "a"},]', 'expected an item of the array, received none'],
    ['[{"text": "a"}', 'the file ends within its JSON'],
    ['[{"text": "a', 'the file ends within its JSON'],
    ['{"text": "a"', 'the file ends within its JSON'],
    ['[{"text": "a"}] x', 'expected the end of the file'],
    ['"text"', 'expected an array of records, or records after one another'],
    ['{"data": [{"text": "a"}]}', 'an object around the records is not read: write the list alone'],
    ['\uFEFF[]', 'the file starts with a byte order mark'],
  ])('of another shape are refused with the place: %s', async (content, said) => {
    put('a.json', content)
    const error = await errorOf('a.json')
    expect(error).toContain(said)
    expect(error).toMatch(/^3 /)
  })

  it('in UTF-16 are called so', async () => {
    put('a.json', Buffer.from('\uFEFF[{"text": "a"}]', 'utf16le'))
    expect(await errorOf('a.json')).toContain('3 BAD_UTF8 a.json:1 (byte 0): expected UTF-8')
    expect(await errorOf('a.json')).toContain('UTF-16')
  })

  it('of one object above the limit are refused before they are held', async () => {
    put(
      'a.json',
      `{"data": [${'{"text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},'.repeat(400_000)}{}]}`,
    )
    expect(await errorOf('a.json')).toContain(
      'if this is one object with a list inside, write the list as an array',
    )
  })
})

describe('.csv and .tsv files', () => {
  it('have columns named by the first line; quotes hold separators, line ends and quotes', async () => {
    put('a.csv', '\uFEFFprompt,completion,id\r\n"a, ""b""\r\nc",d,1\r\n\r\n"","e",\r\n')
    expect((await read('a.csv')).map(({ id, line, content }) => [id, line, content])).toEqual([
      ['1', 2, { kind: 'completion', prompt: 'a, "b"\r\nc', completion: 'd' }],
      ['a.csv:5', 5, { kind: 'completion', prompt: '', completion: 'e' }],
    ])
    put('b.tsv', 'text\tweight\tsource\nä, "€"\t0.5\tweb\nb\t\t')
    expect((await read('b.tsv')).map(({ source, weight, content }) => [source, weight, content])).toEqual([
      ['web', 0.5, { kind: 'text', text: 'ä, "€"' }],
      ['b', 1, { kind: 'text', text: 'b' }],
    ])
  })

  it('may begin with the index that pandas writes, which has no name', async () => {
    put('a.csv', ',text,id\n0,a,x\n1,b,y\n')
    expect((await read('a.csv')).map(({ id, content }) => [id, content])).toEqual([
      ['x', { kind: 'text', text: 'a' }],
      ['y', { kind: 'text', text: 'b' }],
    ])
  })

  it('may hold messages as JSON', async () => {
    put(
      'a.csv',
      'messages\n"[{""role"": ""user"", ""content"": ""q""}, {""role"": ""assistant"", ""content"": ""a""}]"\n',
    )
    const [document] = await read('a.csv')
    expect(document!.content).toMatchObject({ kind: 'chat', messages: [{ content: 'q' }, { content: 'a' }] })
    put('b.csv', `messages\n"[{'role': 'user'}]"\n`)
    expect(await errorOf('b.csv')).toContain('3 BAD_FIELD b.csv:2 (byte 9): "messages": expected JSON')
  })

  it('are cut at the same places whatever the pieces they come in', async () => {
    const bytes = Buffer.from('a,b\r\n"x ""y""\r\n,z",\n\n,"é"\r\nlast,"one"\r')
    const refuse = (_: unknown, problem: string): never => {
      throw new Error(problem)
    }
    for (let size = 1; size <= bytes.length; size++) {
      const records: unknown[] = []
      for await (const part of splitCsv(pieces(bytes, size), 0x2c, refuse)) {
        records.push(
          ...part.map(({ number, fields }) => [number, ...fields.map((field) => field?.toString() ?? null)]),
        )
      }
      expect(records).toEqual([
        [1, 'a', 'b'],
        [2, 'x "y"\r\n,z', null],
        [5, null, 'é'],
        [6, 'last', 'one'],
      ])
    }
  })

  it.each([
    [
      'text,id\na,1\nb\n',
      'BAD_CSV a.csv:3 (byte 12): expected 2 fields as in the first line ("text", "id"), received 1',
    ],
    [
      'text,id\na,1,2\n',
      'a.csv:2 (byte 8): expected 2 fields as in the first line ("text", "id"), received 3',
    ],
    ['text,text\n', 'DUPLICATE_KEY a.csv:1 (byte 0): expected each column once, received "text" twice'],
    ['text,,id\n', 'expected a first line with a name for each column, column 2 has none'],
    [
      'text;id\na;1\n',
      'expected columns separated by commas (a file with tabs ends in .tsv), received one column "text;id"',
    ],
    ['text\n"a\nb\n', 'BAD_CSV a.csv:2 (byte 5): expected the closing quote of this field'],
    ['text,id\ra,1\rb,2\r', 'BAD_CSV a.csv:1 (byte 5): expected lines that end with a line feed'],
    ['text,id\na\rb,1\n', 'BAD_CSV a.csv:2 (byte 8): expected lines that end with a line feed'],
    ['text,weight\na,0x10\n', '"weight": expected 0 or a number'],
    ['text\n"a"b\n', 'a.csv:2 (byte 8): expected a separator or the end of the line behind a closing quote'],
    ['question,answer\na,b\n', 'expected a record with the key'],
  ])('that are not tables are refused with the line: %j', async (content, said) => {
    put('a.csv', content)
    const error = await errorOf('a.csv')
    expect(error).toContain(said)
    expect(error).toMatch(/^3 /)
  })
})

describe('a folder', () => {
  it('is all data files in it and below, sorted, whatever their kinds', async () => {
    put('d/b.csv', 'text\nb\n')
    put('d/a.jsonl', '{"text": "a"}\n')
    put('d/sub/c.txt', 'c')
    put('d/README.md', 'no data')
    put('d/dataset_infos.json', '{}')
    put('d/.hidden.jsonl', '{"text": "hidden"}')
    for (const name of ['d', 'd/', './d']) expect(textsOf(await read(name))).toEqual(['a', 'b', 'c'])
  })

  it('gives the parts of one file one source', async () => {
    put('d/web-00000-of-00002.jsonl', '{"text": "a"}')
    put('d/web-00001-of-00002.jsonl.gz', gzipSync('{"text": "b"}'))
    expect((await read('d')).map(({ source }) => source)).toEqual(['web', 'web'])
  })

  it('without data files is refused', async () => {
    put('d/data-00000-of-00001.arrow', 'x')
    expect(await errorOf('d')).toMatch(
      /^2 FILE_NOT_FOUND d: expected data files in the folder.*Dataset\.to_parquet$/,
    )
    expect(await errorOf('absent')).toContain('absent: no such file or folder, or the pattern matches none')
  })
})

describe('columns', () => {
  it('are read under the names that the entry gives, which decide the form', async () => {
    put('a.jsonl', '{"question": "q", "answer": "a", "text": "other", "topic": "t"}\n')
    const columns = { prompt: 'question', completion: 'answer', source: 'topic' }
    const [document] = await read({ path: 'a.jsonl', columns })
    expect(document).toMatchObject({
      source: 't',
      content: { kind: 'completion', prompt: 'q', completion: 'a' },
    })
    put('b.csv', 'question,answer\nq,\n')
    expect(await errorOf({ path: 'b.csv', columns: { prompt: 'question', completion: 'answer' } })).toContain(
      '"completion"',
    )
  })

  it('that are not there are one error with those that are', async () => {
    put('a.jsonl', '{"question": "q", "answer": "a"}\n')
    put('b.csv', 'question,answer\nq,a\n')
    for (const name of ['a.jsonl', 'b.csv']) {
      const error = await errorOf({ path: name, columns: { prompt: 'question', completion: 'anwser' } })
      expect(error).toContain(
        'expected the column "anwser" for "completion", as the entry says, received "question", "answer"',
      )
    }
  })

  it('give each file one source where the source field is null, and each record its own where it is named', async () => {
    put('a.jsonl', '{"text": "x", "source": "s1", "site": "w"}\n{"text": "y", "source": "s2", "site": "v"}\n')
    const sources = async (entry: Partial<DataSource>) =>
      (await read({ path: 'a.jsonl', ...entry })).map(({ source }) => source)
    expect(await sources({})).toEqual(['s1', 's2'])
    expect(await sources({ sourceField: null })).toEqual(['a', 'a'])
    expect(await sources({ sourceField: 'site' })).toEqual(['w', 'v'])
  })
})
