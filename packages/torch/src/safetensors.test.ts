import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type DType,
  equal,
  memoryStats,
  ones,
  openScope,
  resetPeakMemoryStats,
  SafetensorsFile,
  type Scope,
  type Tensor,
  tensor,
  toDType,
  transpose,
  writeSafetensors,
  zeros,
} from './index.js'
import { SafetensorsError } from './safetensors-error.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const folder = mkdtempSync(join(tmpdir(), 'torch-safetensors-'))
const path = join(folder, 'file.safetensors')
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})
afterAll(() => rmSync(folder, { recursive: true }))

const DTYPES: readonly [DType, string, number][] = [
  ['float64', 'F64', 8],
  ['float32', 'F32', 4],
  ['float16', 'F16', 2],
  ['bfloat16', 'BF16', 2],
  ['int64', 'I64', 8],
  ['int32', 'I32', 4],
  ['int16', 'I16', 2],
  ['int8', 'I8', 1],
  ['uint8', 'U8', 1],
  ['bool', 'BOOL', 1],
]

interface Layout {
  readonly dtype: string
  readonly shape: number[]
  readonly data_offsets: [number, number]
}

/** The format in five lines: length, JSON, data. Shares no code with the package. */
function parseFile(file: string): { header: Record<string, Layout>; metadata: unknown; data: Buffer } {
  const bytes = readFileSync(file)
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: metadata, ...header } = JSON.parse(bytes.toString('utf8', 8, headerEnd))
  return { header, metadata, data: bytes.subarray(headerEnd) }
}

/** A file with this header and that many bytes of data. */
function writeRaw(header: string, dataBytes: number): void {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)))
  writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes, 1)]))
}

describe('a written file', () => {
  it.each(DTYPES)('gives %s back bit for bit', (dtype) => {
    const x = tensor([1, 0, 100, dtype === 'uint8' || dtype === 'bool' ? 1 : -7], [2, 2], { dtype })
    writeSafetensors(path, new Map([['x', x]]))
    using file = new SafetensorsFile(path)
    expect(file.entry('x')).toEqual({ dtype, shape: [2, 2] })
    const back = file.read('x')
    expect([back.dtype, back.shape, valuesOf(back)]).toEqual([dtype, [2, 2], valuesOf(x)])
    const target = zeros([2, 2], { dtype })
    file.readInto('x', target)
    expect(valuesOf(target)).toEqual(valuesOf(x))
  })

  it('holds scalars, empty tensors and tensors that are not contiguous', () => {
    const tensors = new Map<string, Tensor>([
      ['scalar', tensor([2.5], [])],
      ['empty', zeros([0, 3])],
      ['also empty', zeros([4, 0], { dtype: 'int64' })],
      ['turned', transpose(tensor([1, 2, 3, 4, 5, 6], [2, 3]), 0, 1)],
    ])
    writeSafetensors(path, tensors)
    using file = new SafetensorsFile(path)
    expect(file.names).toEqual([...tensors.keys()])
    const back = file.names.map((name) => file.read(name))
    expect(back.map(({ shape }) => shape)).toEqual([[], [0, 3], [4, 0], [3, 2]])
    expect(back.map(valuesOf)).toEqual([[2.5], [], [], [1, 4, 2, 5, 3, 6]])
    file.readInto('empty', zeros([0, 3]))
  })

  it('may hold nothing', () => {
    writeSafetensors(path, new Map())
    using file = new SafetensorsFile(path)
    expect([file.names, file.entry('x')]).toEqual([[], undefined])
  })

  it('is laid out as the format says', () => {
    const tensors = new Map(DTYPES.map(([dtype], i) => [`tensor ${i}`, ones([i, 3], { dtype })]))
    writeSafetensors(path, tensors, { format: 'pt', note: 'ünïcode "quoted"' })
    const { header, metadata, data } = parseFile(path)
    expect(metadata).toEqual({ format: 'pt', note: 'ünïcode "quoted"' })
    let offset = 0
    for (const [i, [, fileDtype, itemBytes]] of DTYPES.entries()) {
      const end = offset + i * 3 * itemBytes
      expect(header[`tensor ${i}`]).toEqual({ dtype: fileDtype, shape: [i, 3], data_offsets: [offset, end] })
      offset = end
    }
    expect(data.length).toBe(offset)
    const [start, end] = header['tensor 1']!.data_offsets
    expect(new Float32Array(data.buffer.slice(data.byteOffset + start, data.byteOffset + end))).toEqual(
      Float32Array.of(1, 1, 1),
    )
  })

  it('says that it is for PyTorch unless told otherwise', () => {
    writeSafetensors(path, new Map())
    expect(parseFile(path).metadata).toEqual({ format: 'pt' })
    using file = new SafetensorsFile(path)
    expect(file.metadata).toEqual(new Map([['format', 'pt']]))
  })

  it('replaces a longer one wholly', () => {
    writeSafetensors(path, new Map([['x', ones([1000])]]))
    writeSafetensors(path, new Map([['x', ones([2])]]))
    using file = new SafetensorsFile(path)
    expect(valuesOf(file.read('x'))).toEqual([1, 1])
  })
})

describe('an open file', () => {
  it('fills a tensor of the same shape and dtype only', () => {
    writeSafetensors(path, new Map([['x', ones([2, 3])]]))
    using file = new SafetensorsFile(path)
    for (const target of [
      zeros([3, 2]),
      zeros([6]),
      zeros([2]),
      zeros([2, 3, 1]),
      zeros([2, 3], { dtype: 'int32' }),
    ]) {
      const error = torchErrorOf(() => file.readInto('x', target))
      expect(error.code).toBe('SHAPE_MISMATCH')
      expect(error.message).toContain(
        `${path}: "x" is float32[2,3], expected ${target.dtype}[${target.shape}]`,
      )
      expect(valuesOf(target)).toEqual(Array(target.numel).fill(0))
    }
  })

  it('names what is missing', () => {
    writeSafetensors(path, new Map())
    using file = new SafetensorsFile(path)
    expect(torchErrorOf(() => file.read('x')).code).toBe('NO_SUCH_TENSOR')
    expect(torchErrorOf(() => file.readInto('x', ones([1]))).message).toBe(`${path}: no tensor "x"`)
  })

  it('may be closed twice and then reads nothing', () => {
    writeSafetensors(path, new Map([['x', ones([1])]]))
    const file = new SafetensorsFile(path)
    file.close()
    file.close()
    expect(codeOf(() => file.read('x'))).toBe('FILE_IO')
  })

  it('refuses dtypes that tensors cannot have here', () => {
    writeRaw('{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}', 2)
    using file = new SafetensorsFile(path)
    for (const use of [() => file.read('x'), () => file.entry('x'), () => file.readInto('x', ones([2]))]) {
      expect(codeOf(use)).toBe('UNSUPPORTED_DTYPE')
    }
  })
})

describe('another dtype in the file', () => {
  // Longer than one piece, so that pieces must fit together.
  const values = (length: number) =>
    tensor(
      Float32Array.from({ length }, (_, i) => (i % 4093) / 7 - 200),
      [length],
    )
  const LENGTH = (1 << 22) + 3

  it.each([
    ['bfloat16', 'float32'],
    ['float32', 'bfloat16'],
    ['float16', 'float32'],
    ['float16', 'bfloat16'],
  ] as const)('%s is rounded to %s as it is read', (stored, wanted) => {
    const x = toDType(values(LENGTH), stored)
    writeSafetensors(path, new Map([['x', x]]))
    using file = new SafetensorsFile(path)
    const target = zeros([LENGTH], { dtype: wanted })
    expect(codeOf(() => file.readInto('x', target))).toBe('SHAPE_MISMATCH')
    file.readInto('x', target, { convert: true })
    expect(equal(target, toDType(x, wanted))).toBe(true)
  })

  it('is rounded as it is written, whole numbers left as they are', () => {
    const x = values(LENGTH)
    const ids = tensor([1, 2], [2], { dtype: 'int64' })
    writeSafetensors(
      path,
      new Map([
        ['x', x],
        ['ids', ids],
      ]),
      undefined,
      { dtype: 'bfloat16' },
    )
    using file = new SafetensorsFile(path)
    expect([file.entry('x')?.dtype, file.entry('ids')?.dtype]).toEqual(['bfloat16', 'int64'])
    expect(equal(file.read('x'), toDType(x, 'bfloat16'))).toBe(true)
    expect(file.dataBytes).toBe(2 * LENGTH + 16)
  })

  it('needs a piece of memory more, not another tensor', () => {
    writeSafetensors(path, new Map([['x', ones([3 << 22], { dtype: 'bfloat16' })]]))
    using file = new SafetensorsFile(path)
    const target = zeros([3 << 22])
    resetPeakMemoryStats()
    const before = memoryStats().allocatedBytes
    file.readInto('x', target, { convert: true })
    writeSafetensors(path, new Map([['x', target]]), undefined, { dtype: 'bfloat16' })
    expect(memoryStats().peakBytes - before).toBeLessThanOrEqual(16 << 20)
    expect(valuesOf(file.read('x')).every((value) => value === 1)).toBe(true)
  })

  it('of whole numbers is never converted', () => {
    writeSafetensors(path, new Map([['x', ones([2], { dtype: 'int32' })]]))
    using file = new SafetensorsFile(path)
    expect(codeOf(() => file.readInto('x', zeros([2]), { convert: true }))).toBe('SHAPE_MISMATCH')
  })
})

describe('a damaged or hostile file', () => {
  const entry = (shape: string, offsets: string) =>
    `{"x":{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}}`

  it.each([
    ['nothing in it', () => writeFileSync(path, ''), 'SAFETENSORS_LENGTH'],
    [
      'a length beyond its end',
      () => writeFileSync(path, Buffer.from('ffffffff00000000', 'hex')),
      'SAFETENSORS_LENGTH',
    ],
    ['no JSON', () => writeRaw('{"x":', 0), 'SAFETENSORS_HEADER'],
    ['data cut short', () => writeRaw(entry('[4]', '[0,16]'), 15), 'SAFETENSORS_OFFSETS'],
    ['data left over', () => writeRaw(entry('[4]', '[0,16]'), 17), 'SAFETENSORS_OFFSETS'],
    [
      'a shape larger than its data',
      () => writeRaw(entry('[1000000,1000000]', '[0,16]'), 16),
      'SAFETENSORS_OFFSETS',
    ],
    [
      'a shape that overflows',
      () => writeRaw(entry('[4294967296,4294967296]', '[0,0]'), 0),
      'SAFETENSORS_SHAPE',
    ],
    ['a negative size', () => writeRaw(entry('[-4]', '[0,16]'), 16), 'SAFETENSORS_NUMBER'],
    ['offsets out of order', () => writeRaw(entry('[4]', '[16,0]'), 16), 'SAFETENSORS_OFFSETS'],
  ] as const)('with %s is refused before anything is allocated', (_, write, code) => {
    write()
    const { numAllocations } = memoryStats()
    let error: unknown
    try {
      new SafetensorsFile(path).close()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(SafetensorsError)
    expect((error as SafetensorsError).code).toBe(code)
    expect(memoryStats().numAllocations).toBe(numAllocations)
  })

  it.skipIf(!existsSync('/proc/self/fd'))('does not stay open', () => {
    writeFileSync(path, '')
    const numOpen = () => readdirSync('/proc/self/fd').length
    const before = numOpen()
    for (let i = 0; i < 5; i++) expect(() => new SafetensorsFile(path)).toThrow()
    expect(numOpen()).toBe(before)
  })
})
