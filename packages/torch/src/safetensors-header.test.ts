import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SafetensorsError } from './safetensors-error.js'
import {
  buildSafetensorsHeader,
  MAX_HEADER_BYTES,
  MAX_TENSORS,
  parseSafetensorsHeader,
  readHeaderLength,
  type SafetensorsHeader,
} from './safetensors-header.js'

const ITEM_BYTES: Record<string, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F16: 2,
  BF16: 2,
  I32: 4,
  F32: 4,
  I64: 8,
  F64: 8,
}

function parse(json: string, dataBytes: number): SafetensorsHeader {
  return parseSafetensorsHeader(Buffer.from(json), { dataBytes })
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SafetensorsError) return error.code
    throw error
  }
  return 'accepted'
}

/** One F32 [2] tensor, with one part of its text changed. */
function changed(from: string, to: string): string {
  const good = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
  if (!good.includes(from)) throw new Error(`no ${from} in the header`)
  return good.replace(from, to)
}

function lengthBytes(length: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, length, true)
  return bytes
}

describe('readHeaderLength', () => {
  it('reads the length wherever the bytes lie in their buffer', () => {
    const padded = Buffer.concat([Buffer.from([9, 9, 9]), lengthBytes(300n)])
    expect(readHeaderLength(padded.subarray(3), 1000)).toBe(300)
    expect(readHeaderLength(lengthBytes(BigInt(MAX_HEADER_BYTES)), 8 + MAX_HEADER_BYTES)).toBe(
      MAX_HEADER_BYTES,
    )
  })

  it.each([
    ['0', 0n, 1000],
    ['1', 1n, 1000],
    ['one more than the file holds', 993n, 1000],
    ['one above the cap', 100_000_001n, 2 ** 40],
    ['2^32', 2n ** 32n, 2 ** 40],
    ['2^53 + 1', 2n ** 53n + 1n, 2 ** 52],
    ['2^63', 2n ** 63n, 1000],
    ['2^64 - 1', 2n ** 64n - 1n, 1000],
    ['anything in a file of 7 bytes', 2n, 7],
  ])('refuses a length of %s', (_, length, fileBytes) => {
    expect(codeOf(() => readHeaderLength(lengthBytes(length), fileBytes))).toBe('SAFETENSORS_LENGTH')
  })

  it('refuses fewer than 8 bytes', () => {
    expect(codeOf(() => readHeaderLength(new Uint8Array(7), 1000))).toBe('SAFETENSORS_LENGTH')
  })
})

describe('parseSafetensorsHeader', () => {
  it('reads tensors in any order of data, scalars, empty tensors, metadata and padding', () => {
    const json =
      '{ "__metadata__" : {"format":"pt","é\\n":""},"b":{"shape":[2,3],"data_offsets":[8,20],"dtype":"BF16"},\n' +
      '\t"a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]}}   '
    const { tensors, metadata } = parse(json, 20)
    expect([...tensors]).toEqual([
      ['b', { dtype: 'BF16', shape: [2, 3], begin: 8, end: 20 }],
      ['a', { dtype: 'I64', shape: [], begin: 0, end: 8 }],
      ['none', { dtype: 'F32', shape: [0, 7], begin: 8, end: 8 }],
    ])
    expect([...metadata]).toEqual([
      ['format', 'pt'],
      ['é\n', ''],
    ])
  })

  it('accepts a file without tensors', () => {
    expect(parse('{}', 0).tensors.size).toBe(0)
    expect(parse('{"__metadata__":{}}', 0).metadata.size).toBe(0)
  })

  it('takes __proto__ and its like for plain names', () => {
    const json =
      '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":{"__proto__":"x","constructor":"y"}}'
    const { tensors, metadata } = parse(json, 1)
    expect([...tensors.keys()]).toEqual(['__proto__'])
    expect(metadata.get('__proto__')).toBe('x')
    expect(({} as Record<string, unknown>).dtype).toBeUndefined()
  })

  it.each([
    [
      'a duplicate tensor',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    ],
    [
      'a duplicate hidden by an escape',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
    ],
    ['a duplicate field', changed('"shape":[2]', '"shape":[2],"shape":[2]')],
    ['a duplicate field hidden by an escape', changed('"shape":[2]', '"shape":[2],"sh\\u0061pe":[2]')],
    ['duplicate metadata', '{"__metadata__":{},"__metadata__":{}}'],
    ['a duplicate metadata key', '{"__metadata__":{"a":"1","a":"1"}}'],
  ])('refuses %s', (_, json) => {
    expect(codeOf(() => parse(json, json.includes('F32') ? 8 : 0))).toBe('SAFETENSORS_DUPLICATE_KEY')
  })

  it.each([
    ['an unknown dtype', 'F32', 'F33', 'SAFETENSORS_DTYPE'],
    ['an inherited property as dtype', 'F32', 'constructor', 'SAFETENSORS_DTYPE'],
    ['a lower-case dtype', 'F32', 'f32', 'SAFETENSORS_DTYPE'],
    ['a negative size', '[2]', '[-2]', 'SAFETENSORS_NUMBER'],
    ['minus zero', '[0,8]', '[-0,8]', 'SAFETENSORS_NUMBER'],
    ['a fraction', '[2]', '[2.0]', 'SAFETENSORS_NUMBER'],
    ['an exponent', '[2]', '[2e0]', 'SAFETENSORS_NUMBER'],
    ['a leading zero', '[2]', '[02]', 'SAFETENSORS_NUMBER'],
    ['a string for a number', '[2]', '["2"]', 'SAFETENSORS_NUMBER'],
    ['null for a number', '[2]', '[null]', 'SAFETENSORS_NUMBER'],
    ['2^53', '[0,8]', '[0,9007199254740992]', 'SAFETENSORS_NUMBER'],
    ['2^64 + 8', '[0,8]', '[0,18446744073709551624]', 'SAFETENSORS_NUMBER'],
    ['a trailing comma in an array', '[2]', '[2,]', 'SAFETENSORS_NUMBER'],
    ['a shape whose product overflows', '[2]', '[4294967296,4294967296]', 'SAFETENSORS_SHAPE'],
    ['an overflow hidden by a zero', '[2]', '[4294967296,4294967296,0]', 'SAFETENSORS_SHAPE'],
    ['a size that does not follow from the shape', '[2]', '[3]', 'SAFETENSORS_OFFSETS'],
    ['reversed offsets', '[0,8]', '[8,0]', 'SAFETENSORS_OFFSETS'],
    ['one offset', '[0,8]', '[8]', 'SAFETENSORS_OFFSETS'],
    ['three offsets', '[0,8]', '[0,8,8]', 'SAFETENSORS_OFFSETS'],
    ['a gap before the first tensor', '[0,8]', '[4,12]', 'SAFETENSORS_OFFSETS'],
    ['a missing field', '"shape":[2],', '', 'SAFETENSORS_HEADER'],
    ['an unknown field', '"shape":[2]', '"shape":[2],"strides":[1]', 'SAFETENSORS_HEADER'],
    [
      'a tensor that is no object',
      '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}',
      '1',
      'SAFETENSORS_HEADER',
    ],
    ['a shape that is no array', '[2]', '2', 'SAFETENSORS_HEADER'],
    ['a nested shape', '[2]', '[[2]]', 'SAFETENSORS_NUMBER'],
    ['a trailing comma', '}}', '},}', 'SAFETENSORS_HEADER'],
    ['single quotes', '"a"', "'a'", 'SAFETENSORS_HEADER'],
    ['a comment', '{"a"', '{/**/"a"', 'SAFETENSORS_HEADER'],
    ['white space before the first brace', '{"a"', ' {"a"', 'SAFETENSORS_HEADER'],
    ['a byte order mark', '{"a"', '\ufeff{"a"', 'SAFETENSORS_HEADER'],
    ['an array at the top', '{"a"', '[{"a"', 'SAFETENSORS_HEADER'],
    ['a second object after the first', '}}', '}}{}', 'SAFETENSORS_HEADER'],
    ['zero bytes as padding', '}}', '}}\0\0', 'SAFETENSORS_HEADER'],
    ['a missing brace', '}}', '}', 'SAFETENSORS_HEADER'],
    ['an open string', '"a"', '"a', 'SAFETENSORS_HEADER'],
    ['a bare line feed in a string', '"a"', '"a\n"', 'SAFETENSORS_HEADER'],
    ['an unknown escape', '"a"', '"\\x61"', 'SAFETENSORS_HEADER'],
    ['half an escape', '"a"', '"\\u006"', 'SAFETENSORS_HEADER'],
    ['half a surrogate pair', '"a"', '"\\ud800"', 'SAFETENSORS_UTF8'],
    ['metadata with a number', '{"a"', '{"__metadata__":{"n":1},"a"', 'SAFETENSORS_METADATA'],
    ['metadata that is null', '{"a"', '{"__metadata__":null,"a"', 'SAFETENSORS_METADATA'],
  ])('refuses %s', (_, from, to, code) => {
    expect(codeOf(() => parse(changed(from, to), 8))).toBe(code)
  })

  it('refuses gaps, overlaps, tails and missing data', () => {
    const two = (b: string): string =>
      `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[${b}]}}`
    expect(codeOf(() => parse(two('4,8'), 8))).toBe('accepted')
    expect(codeOf(() => parse(two('5,9'), 9))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => parse(two('3,7'), 7))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => parse(two('0,4'), 4))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => parse(two('4,8'), 9))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => parse(two('4,8'), 7))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => parse('{}', 1))).toBe('SAFETENSORS_OFFSETS')
  })

  it('refuses bytes that are not UTF-8', () => {
    const bytes = Buffer.from(changed('"a"', '"aaa"'))
    for (const bad of [
      [0xff, 0x61],
      [0xc0, 0x80],
      [0xed, 0xa0],
      [0xc3, 0x22],
    ]) {
      const copy = Buffer.from(bytes)
      copy.set(bad, 3)
      const code = codeOf(() => parseSafetensorsHeader(copy, { dataBytes: 8 }))
      expect(['SAFETENSORS_UTF8', 'SAFETENSORS_HEADER']).toContain(code)
    }
  })

  it('is not hurt by deep nesting', () => {
    expect(codeOf(() => parse(`{"a":${'['.repeat(1_000_000)}`, 0))).toBe('SAFETENSORS_HEADER')
    expect(codeOf(() => parse(`{"a":${'{"a":'.repeat(300_000)}`, 0))).toBe('SAFETENSORS_HEADER')
  })

  it('shows hostile names in messages with their controls escaped, and cut short', () => {
    const name = `\u001b[2J\u202e\u0085${'x'.repeat(5000)}`
    const json = `{${JSON.stringify(name)}:{"dtype":"Q","shape":[],"data_offsets":[0,1]}}`
    try {
      parse(json, 1)
      expect.unreachable()
    } catch (error) {
      const { message } = error as Error
      // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what must not be there
      expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
      expect(message.length).toBeLessThan(400)
    }
  })

  it('refuses more tensors than the limit', () => {
    const entry = (i: number): string => `"${i.toString(36)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`
    const json = `{${Array.from({ length: MAX_TENSORS + 1 }, (_, i) => entry(i)).join(',')}}`
    expect(codeOf(() => parse(json, 0))).toBe('SAFETENSORS_TOO_MANY')
  })

  it('never fails untyped, and agrees with JSON.parse on what it accepts, for mutated headers', () => {
    const good = Buffer.from(
      '{"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"\\u00e9":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}  ',
    )
    const alphabet = Buffer.from('{}[]":,\\u0189.-eF32a \n\0\xff', 'latin1')
    const edit = fc.record({
      at: fc.nat(good.length),
      remove: fc.nat(3),
      insert: fc.array(fc.constantFrom(...alphabet), { maxLength: 3 }),
    })
    let accepted = 0
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 2 }), (edits) => {
        let bytes: Buffer = good
        for (const { at, remove, insert } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at + remove)])
        }
        let header: SafetensorsHeader
        try {
          header = parseSafetensorsHeader(bytes, { dataBytes: 9 })
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError)
          return
        }
        accepted++
        const { __metadata__, ...tensors } = JSON.parse(
          new TextDecoder('utf-8', { fatal: true }).decode(bytes),
        )
        expect(Object.fromEntries(header.metadata)).toEqual(__metadata__ ?? {})
        const read = [...header.tensors].map(([name, t]) => [
          name,
          { dtype: t.dtype, shape: t.shape, data_offsets: [t.begin, t.end] },
        ])
        expect(Object.fromEntries(read)).toEqual(tensors)
      }),
      { numRuns: 5_000 },
    )
    expect(accepted).toBeGreaterThan(50)
  })
})

describe('buildSafetensorsHeader', () => {
  const entry = fc
    .record({
      name: fc.string({ unit: 'grapheme', maxLength: 8 }),
      dtype: fc.constantFrom(...Object.keys(ITEM_BYTES)),
      shape: fc.array(fc.nat(5), { maxLength: 4 }),
    })
    .map((e) => ({ ...e, nbytes: e.shape.reduce((a, b) => a * b, ITEM_BYTES[e.dtype]!) }))

  it('gives back through the parser what it was given, in order, on an 8-byte boundary', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(entry, { selector: (e) => e.name, maxLength: 6 }),
        fc.option(fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }), { nil: undefined }),
        (entries, metadata) => {
          const file = buildSafetensorsHeader(entries, metadata)
          const dataBytes = entries.reduce((sum, e) => sum + e.nbytes, 0)
          const length = readHeaderLength(file.subarray(0, 8), file.length + dataBytes)
          expect(file.length).toBe(8 + length)
          expect(length % 8).toBe(0)
          const header = parseSafetensorsHeader(file.subarray(8), { dataBytes })
          expect([...header.tensors.keys()]).toEqual(entries.map((e) => e.name))
          let begin = 0
          for (const e of entries) {
            const end = begin + e.nbytes
            expect(header.tensors.get(e.name)).toEqual({ dtype: e.dtype, shape: e.shape, begin, end })
            begin = end
          }
          expect([...header.metadata]).toEqual(Object.entries(metadata ?? {}))
        },
      ),
    )
  })

  it('refuses what the parser would refuse', () => {
    const good = { name: 'a', dtype: 'F32', shape: [2], nbytes: 8 }
    expect(codeOf(() => buildSafetensorsHeader([good, good]))).toBe('SAFETENSORS_DUPLICATE_KEY')
    expect(codeOf(() => buildSafetensorsHeader([{ ...good, nbytes: 4 }]))).toBe('SAFETENSORS_OFFSETS')
    expect(codeOf(() => buildSafetensorsHeader([{ ...good, dtype: 'Q4' }]))).toBe('SAFETENSORS_DTYPE')
    expect(codeOf(() => buildSafetensorsHeader([{ ...good, shape: [-2] }]))).toBe('SAFETENSORS_NUMBER')
    expect(codeOf(() => buildSafetensorsHeader([{ ...good, name: '\ud800' }]))).toBe('SAFETENSORS_UTF8')
    const reserved = { ...good, name: '__metadata__' }
    expect(codeOf(() => buildSafetensorsHeader([reserved]))).toMatch(/^SAFETENSORS_/)
    const misleading = { name: '__metadata__', dtype: 'U8', shape: [0], nbytes: 0 }
    expect(codeOf(() => buildSafetensorsHeader([misleading], { a: 'b' }))).toBe('SAFETENSORS_DUPLICATE_KEY')
  })
})
