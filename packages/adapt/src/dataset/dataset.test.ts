import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AdaptError } from '../errors.js'
import { dataFolder } from './data-folder.test.fixture.js'
import type { Document } from './document.js'
import { printable } from './printable.js'
import { MAX_LINE_BYTES } from './split-lines.js'

const { put, read, errorOf } = dataFolder()

const textOf = ({ content }: Document): string =>
  content.kind === 'text' ? content.text : content.kind === 'completion' ? content.completion : ''

describe('readDocuments', () => {
  it('reads text and completion records with ids, sources, weights and positions', async () => {
    const lines = [
      '{"text":"one"}',
      '',
      '{"text":"two","id":"x","source":"s","weight":0.5}',
      '  \t\r',
      '{"prompt":"p","completion":"c","meta":{"source":"m"},"id":7}',
    ]
    put('sub/web.train.jsonl', lines.join('\n'))
    const counts = { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
    const documents = await read('sub/*.jsonl', { counts })
    const path = 'sub/web.train.jsonl'
    expect(documents).toEqual([
      {
        id: `${path}:1`,
        source: 'web.train',
        path,
        line: 1,
        byteOffset: 0,
        weight: 1,
        content: { kind: 'text', text: 'one' },
      },
      {
        id: 'x',
        source: 's',
        path,
        line: 3,
        byteOffset: 16,
        weight: 0.5,
        content: { kind: 'text', text: 'two' },
      },
      {
        id: '7',
        source: 'm',
        path,
        line: 5,
        byteOffset: lines.slice(0, 4).join('\n').length + 1,
        weight: 1,
        content: { kind: 'completion', prompt: 'p', completion: 'c' },
      },
    ])
    expect(counts).toEqual({ numDocuments: 3, numBlankLines: 2, numBadRecords: 0 })
  })

  it('prefers the source and the text field of the entry', async () => {
    put('a.ndjson', '{"body":"b","source":5}\n')
    const [document] = await read({ path: 'a.ndjson', source: 'mine', textField: 'body' })
    expect([document?.source, document && textOf(document)]).toEqual(['mine', 'b'])
  })

  it('makes one document of a plain text file, and none of a blank one', async () => {
    put('t/a.txt', 'x\r\ny\n')
    put('t/b.txt', ' \n\n')
    put('t/c.txt.gz', gzipSync('zipped'))
    expect((await read('t/*')).map((d) => [d.id, d.source, textOf(d)])).toEqual([
      ['t/a.txt:1', 'a', 'x\r\ny\n'],
      ['t/c.txt.gz:1', 'c', 'zipped'],
    ])
  })

  it('counts the limit over all files of one entry', async () => {
    put('1.jsonl', '{"text":"a"}\n{"text":"b"}\n')
    put('2.jsonl', '{"text":"c"}\n{"text":"d"}\nnot json')
    put('3.jsonl', 'not json')
    expect((await read({ path: '?.jsonl', limit: 3 })).map(textOf)).toEqual(['a', 'b', 'c'])
  })

  it('ends lines at 0x0A only and keeps every other character exactly', async () => {
    const texts = ['cr\rlf', 'u2028\u2028u2029\u2029x', 'u85\u0085', 'a\ufeffb', '\u0000', '😀 é 日本']
    put('a.jsonl', texts.map((t) => JSON.stringify({ text: t })).join('\r\n'))
    expect((await read('a.jsonl')).map(textOf)).toEqual(texts)
  })

  it('reads lines that span chunks of the stream', async () => {
    const texts = [1, 300_000, 262_144, 0, 700_001].map((n, i) => String.fromCharCode(97 + i).repeat(n))
    const body = texts.map((t) => `${JSON.stringify({ text: t })}\n`).join('')
    put('a.jsonl', body)
    put('b.jsonl.gz', gzipSync(body))
    expect((await read('a.jsonl')).map(textOf)).toEqual(texts)
    const zipped = await read('b.jsonl.gz')
    expect(zipped.map(textOf)).toEqual(texts)
    expect(zipped.map((d) => d.byteOffset)).toEqual((await read('a.jsonl')).map((d) => d.byteOffset))
  })

  it('keeps ids above 2^53 as they are written', async () => {
    put(
      'a.jsonl',
      '{"nested":{"id":1},"id" : 9007199254740993,"text":"\\"id\\":2"}\n{"id":-12345678901234567890,"text":""}',
    )
    expect((await read('a.jsonl')).map((d) => d.id)).toEqual(['9007199254740993', '-12345678901234567890'])
  })

  it('takes no harm from a key named __proto__', async () => {
    put('a.jsonl', '{"text":"a","__proto__":{"weight":9,"polluted":1},"constructor":2}\n')
    expect((await read('a.jsonl'))[0]?.weight).toBe(1)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  const bad: [name: string, line: string | Buffer, code: string, said: string][] = [
    ['broken JSON', '{"text": ', 'BAD_JSON', 'expected one JSON object'],
    ['an array', '[1]', 'BAD_JSON', 'received an array'],
    ['null', 'null', 'BAD_JSON', 'received null'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1', 'LFS_POINTER', 'git lfs pull'],
    ['unknown keys', '{"message":[],"b":1}', 'UNKNOWN_RECORD', 'keys "message", "b"'],
    ['no keys', '{}', 'UNKNOWN_RECORD', '"messages", "conversations", "prompt" and "completion", '],
    ['a text that is no string', '{"text":5}', 'BAD_FIELD', '"text": expected a string, received 5'],
    ['a completion that is null', '{"prompt":"a","completion":null}', 'UNKNOWN_RECORD', 'some of them null'],
    ['a negative weight', '{"text":"a","weight":-1}', 'BAD_FIELD', 'or a number in [1e-9, 1e9], received -1'],
    ['a weight that is next to nothing', '{"text":"a","weight":1e-39}', 'BAD_FIELD', 'received 1e-39'],
    ['a weight beyond measure', '{"text":"a","weight":1e30}', 'BAD_FIELD', 'received 1e+30'],
    ['an infinite weight', '{"text":"a","weight":1e999}', 'BAD_FIELD', 'received Infinity'],
    ['a weight in quotes', '{"text":"a","weight":"1"}', 'BAD_FIELD', 'received "1"'],
    ['an id that is a list', '{"text":"a","id":[1]}', 'BAD_FIELD', '"id": expected'],
    ['a source that is a number', '{"text":"a","source":3}', 'BAD_FIELD', '"source": expected'],
    ['a key given twice', '{"text":"a","text":"b"}', 'DUPLICATE_KEY', 'received "text" twice'],
    [
      'a key given twice in a message',
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","content":"c"}]}',
      'DUPLICATE_KEY',
      'received "messages[1].content" twice',
    ],
    [
      'a key given twice in what is not read',
      '{"text":"a","meta":{"x":[{"y":1,"\\u0079":2}]}}',
      'DUPLICATE_KEY',
      'received "meta.x[0].y" twice',
    ],
    [
      'an integer of 5000 digits in a message',
      `{"messages":[{"role":"assistant","content":"a","n":${'9'.repeat(5000)}}]}`,
      'BAD_JSON',
      'at most 4300 digits',
    ],
    [
      'a key given twice through an escape',
      '{"text":"a","\\u0074ext":"b"}',
      'DUPLICATE_KEY',
      'received "text" twice',
    ],
    [
      'an id beyond 2^53 behind an escaped key',
      '{"text":"a","\\u0069d":9007199254740993}',
      'BAD_FIELD',
      '"id"',
    ],
    ['half a surrogate pair', '{"text":"a\\ud83d!"}', 'LONE_SURROGATE', 'surrogate'],
    [
      '65 levels of nesting',
      `{"text":"a","x":${'['.repeat(64)}${']'.repeat(64)}}`,
      'JSON_TOO_DEEP',
      'received 65',
    ],
    ['a deep line that never closes', '['.repeat(1_000_000), 'JSON_TOO_DEEP', '1000000'],
    [
      'bytes that are not UTF-8',
      Buffer.from('7b2274657874223a2261ff227d', 'hex'),
      'BAD_UTF8',
      'byte 10 of the line',
    ],
    ['a character cut at the end', Buffer.from('7b22e2', 'hex'), 'BAD_UTF8', 'expected UTF-8'],
    ['UTF-16', Buffer.from('\ufeff{"text":"a"}', 'utf16le'), 'BAD_UTF8', 'UTF-16'],
  ]
  it.each(bad)('refuses %s, saying where', async (_, line, code, said) => {
    put('a.jsonl', Buffer.concat([Buffer.from('{"text":"ok"}\n'), Buffer.from(line), Buffer.from('\n')]))
    const error = await errorOf(read('a.jsonl'))
    expect([error.code, error.exitCode]).toEqual([code, 3])
    expect(error.message).toContain('a.jsonl:2 (byte 14): ')
    expect(error.message).toContain(said)
  })

  it('accepts 64 levels of nesting and brackets inside strings', async () => {
    put('a.jsonl', `{"text":"${'['.repeat(500)}\\\\","x":${'['.repeat(63)}${']'.repeat(63)}}`)
    expect(await read('a.jsonl')).toHaveLength(1)
  })

  it('is not misled by escaped quotes when it looks for the ends of strings', async () => {
    const texts = [`"${'['.repeat(99)}`, `\\"${'{":'.repeat(99)}`, '\\', '"\\\\"', '","id":99999999999999999']
    put('a.jsonl', texts.map((text) => JSON.stringify({ text, id: 'x', weight: 2 })).join('\n'))
    expect((await read('a.jsonl')).map(textOf)).toEqual(texts)
  })

  it('refuses a byte order mark', async () => {
    put('a.jsonl', '\ufeff{"text":"a"}\n')
    put('a.txt', '\ufeffabc')
    expect((await errorOf(read('a.jsonl', { maxBadRecords: 9 }))).code).toBe('BYTE_ORDER_MARK')
    expect((await errorOf(read('a.txt'))).code).toBe('BYTE_ORDER_MARK')
  })

  it('skips bad records within a budget and stops at the first beyond it', async () => {
    put('a.jsonl', '{"text":"a"}\nbad\n{"text":"b"}\n{}\n{"text":"c"}\n')
    const counts = { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
    expect((await read('a.jsonl', { maxBadRecords: 2, counts })).map(textOf)).toEqual(['a', 'b', 'c'])
    expect(counts.numBadRecords).toBe(2)
    const seen: string[] = []
    await read('a.jsonl', {
      maxBadRecords: 2,
      onBadRecord: (file, error) => seen.push(`${file} ${error.message}`),
    })
    expect(seen.map((s) => s.slice(0, 30))).toEqual([
      'a.jsonl a.jsonl:2 (byte 13): e',
      'a.jsonl a.jsonl:4 (byte 30): e',
    ])
    const error = await errorOf(read('a.jsonl', { maxBadRecords: 1 }))
    expect([error.code, error.exitCode]).toEqual(['UNKNOWN_RECORD', 3])
    expect(error.message).toContain('a.jsonl:4 (byte 30)')
    expect(error.message).toContain('1 bad records before it were skipped')
  })

  it('finds one bad line among ten thousand in each policy', async () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `{"text":"${i}"}`)
    lines[6789] = '{"text":'
    put('a.jsonl', lines.join('\n'))
    const byteOffset = lines.slice(0, 6789).join('\n').length + 1
    const error = await errorOf(read('a.jsonl'))
    expect([error.code, error.exitCode]).toEqual(['BAD_JSON', 3])
    expect(error.message).toContain(`a.jsonl:6790 (byte ${byteOffset}): `)
    expect(error.context).toEqual({ file: 'a.jsonl', line: 6790, byteOffset })
    expect(await read('a.jsonl', { maxBadRecords: 1 })).toHaveLength(9999)
  })

  it('reads as many records as an independent count of bytes gives', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.constantFrom('{"text":"a\u2028b"}', '{"text":"c"}', '{"text":"\u0085"}\r', '', '\r', ' \t'),
          {
            minLength: 1,
            maxLength: 40,
          },
        ),
        fc.boolean(),
        fc.boolean(),
        async (lines, endsWithLineEnd, zipped) => {
          const bytes = Buffer.from(lines.join('\n') + (endsWithLineEnd ? '\n' : ''))
          // A record is what holds a brace between two bytes 0x0A.
          let numRecords = 0
          let hasBrace = false
          for (const byte of [...bytes, 0x0a]) {
            if (byte === 0x7b) hasBrace = true
            if (byte !== 0x0a) continue
            numRecords += hasBrace ? 1 : 0
            hasBrace = false
          }
          const counts = { numDocuments: 0, numBlankLines: 0, numBadRecords: 0 }
          const name = put(zipped ? 'a.jsonl.gz' : 'a.jsonl', zipped ? gzipSync(bytes) : bytes)
          const found = await read(name, { counts }).catch((error: AdaptError) => error.code)
          expect(numRecords === 0 ? found : found.length).toBe(numRecords === 0 ? 'EMPTY_DATA' : numRecords)
          // Blank lines are the other ones; an empty rest after the last line end is no line.
          const numLines = lines.length - (!endsWithLineEnd && lines.at(-1) === '' ? 1 : 0)
          expect(counts).toEqual({
            numDocuments: numRecords,
            numBlankLines: numLines - numRecords,
            numBadRecords: 0,
          })
        },
      ),
      { seed: 9, numRuns: 200 },
    )
  })

  it('never puts a replacement character in the place of what it cannot read', async () => {
    const texts = ['caf\u00e9', '\u{1f600}', 'a\u0000b', '\ufffd is written so']
    put('a.jsonl', texts.map((text) => JSON.stringify({ text })).join('\n'))
    expect((await read('a.jsonl')).map(textOf)).toEqual(texts)
    put('b.jsonl', '{"text":"a\rb"}')
    expect((await errorOf(read('b.jsonl'))).code).toBe('BAD_JSON')
    for (const bytes of ['c328', 'eda080', 'f4908080', 'c0af', 'e282']) {
      put('c.jsonl', Buffer.concat([Buffer.from('{"text":"'), Buffer.from(bytes, 'hex'), Buffer.from('"}')]))
      expect((await errorOf(read('c.jsonl'))).code).toBe('BAD_UTF8')
    }
  })

  it('says that the data is empty when no file holds a record', async () => {
    for (const content of ['', '\n', '\n \n\n\n', '\r\n']) {
      put('a.jsonl', content)
      const error = await errorOf(read('a.jsonl'))
      expect([error.code, error.exitCode]).toEqual(['EMPTY_DATA', 3])
    }
    put('b.jsonl', 'bad\n')
    expect((await errorOf(read('b.jsonl', { maxBadRecords: 5 }))).message).toContain('1 bad records')
  })

  it('stops a line without end before it is in memory', async () => {
    put('a.jsonl.gz', gzipSync(Buffer.alloc(200 * 1024 * 1024, 'a'), { level: 1 }))
    put('b.jsonl', Buffer.concat([Buffer.from('{"text":"x"}\n'), Buffer.alloc(MAX_LINE_BYTES + 1, 'a')]))
    const before = process.memoryUsage().rss
    expect((await errorOf(read('a.jsonl.gz'))).code).toBe('LINE_TOO_LONG')
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024)
    expect((await errorOf(read('b.jsonl'))).message).toContain('b.jsonl:2 (byte 13)')
  })

  it('shows no control or bidirectional characters of the data in an error', async () => {
    put('a.jsonl', `{"\\u001b[31mred\\u202e":1,"${'k'.repeat(500)}":2}\n`)
    put('evil\u001b[2J\u202e.jsonl', 'bad\u001b[0m\u009b31m\u2066')
    for (const name of ['a.jsonl', 'evil*.jsonl']) {
      const { message } = await errorOf(read(name))
      expect(message).not.toMatch(/\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u)
      expect(message.length).toBeLessThan(600)
    }
    expect(printable('a\u001b\u202eb')).toBe('a\\u{1b}\\u{202e}b')
  })
})

describe('gzip files', () => {
  const one = gzipSync('{"text":"a"}\n')
  const two = gzipSync('{"text":"b"}\n')

  it('reads several members as one file', async () => {
    put('a.jsonl.gz', Buffer.concat([one, two]))
    const unverified: string[] = []
    const onUnverified = (file: string) => unverified.push(file)
    expect((await read('a.jsonl.gz', { onUnverified })).map(textOf)).toEqual(['a', 'b'])
    expect(unverified).toEqual(['a.jsonl.gz'])
    put('a.jsonl.gz', one)
    await read('a.jsonl.gz', { onUnverified })
    put('a.jsonl.gz', Buffer.concat([one, gzipSync('')]))
    await read('a.jsonl.gz', { onUnverified })
    expect(unverified).toEqual(['a.jsonl.gz', 'a.jsonl.gz'])
  })

  const flipped = Buffer.from(one)
  flipped[one.length - 6]! ^= 1
  const damaged: [string, Buffer][] = [
    ['cut in the data', one.subarray(0, -12)],
    ['cut in the checksum', one.subarray(0, -3)],
    ['cut in the header of the second member', Buffer.concat([one, two.subarray(0, 5)])],
    ['cut in the second member', Buffer.concat([one, two.subarray(0, -1)])],
    ['followed by other bytes', Buffer.concat([one, Buffer.from('xyz')])],
    ['followed by zero bytes', Buffer.concat([one, Buffer.alloc(3)])],
    ['followed by a zero byte and a lost member', Buffer.concat([one, Buffer.alloc(1), two])],
    ['with a wrong checksum', flipped],
    ['that is empty', Buffer.alloc(0)],
    ['that is not gzip', Buffer.from('{"text":"a"}\n')],
  ]
  it.each(damaged)('refuses a file %s', async (_, bytes) => {
    put('a.jsonl.gz', bytes)
    const error = await errorOf(read('a.jsonl.gz', { maxBadRecords: 100 }))
    expect([error.code, error.exitCode]).toEqual(['GZIP_DAMAGED', 3])
    expect(error.message).toContain('a.jsonl.gz')
  })

  it('stops a compression bomb of blank lines', async () => {
    put('a.jsonl.gz', gzipSync(Buffer.alloc(80 * 1024 * 1024, '\n'), { level: 9 }))
    const error = await errorOf(read('a.jsonl.gz'))
    expect([error.code, error.exitCode]).toEqual(['GZIP_BOMB', 7])
  })
})
