import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { scalarTypeOf } from './dtype.js'
import {
  type DType,
  full,
  mul,
  narrow,
  ones,
  openScope,
  type Scope,
  type TypedArray,
  tensor,
  toDType,
  transpose,
  zeros,
} from './index.js'
import { engine } from './native.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const folder = mkdtempSync(join(tmpdir(), 'torch-tensor-'))
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})
afterAll(() => rmSync(folder, { recursive: true }))

const arrays: readonly [DType, TypedArray][] = [
  ['float32', Float32Array.of(1.5, -0, Infinity, 2 ** -149)],
  ['float64', Float64Array.of(0.1, -Infinity, 2 ** -1074, 4)],
  ['int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 0, 7)],
  ['int64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 0n, 2n ** 53n + 1n)],
  ['uint8', Uint8Array.of(0, 1, 128, 255)],
  ['int8', Int8Array.of(-128, -1, 0, 127)],
  ['int16', Int16Array.of(-32768, 32767, 0, 5)],
  ['bfloat16', Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001)],
]

describe('copies from typed arrays', () => {
  it.each(arrays)('keep every bit of %s', (dtype, array) => {
    const made = tensor(array, [2, 2])
    expect([made.dtype, made.shape, made.device]).toEqual([dtype, [2, 2], 'cpu'])
    const back = new (array.constructor as new (length: number) => TypedArray)(4)
    engine().native.toHost(made.handle, back)
    expect(new Uint8Array(back.buffer)).toEqual(new Uint8Array(array.buffer))
  })

  it('do not alias the array', () => {
    const array = Float32Array.of(1, 2)
    const made = tensor(array, [2])
    array[0] = 9
    const out = made.toFloat32Array()
    out[1] = 9
    expect(valuesOf(made)).toEqual([1, 2])
  })

  it('respect the part of its buffer that a view covers', () => {
    const whole = Float32Array.of(0, 1, 2, 3)
    expect(valuesOf(tensor(whole.subarray(1, 3), [2]))).toEqual([1, 2])
  })

  it('take plain numbers as float32 and convert afterwards', () => {
    expect(tensor([1, 2], [2]).dtype).toBe('float32')
    expect(tensor([1, 2], [2], { dtype: 'int64' }).toBigInt64Array()).toEqual(BigInt64Array.of(1n, 2n))
    expect(valuesOf(tensor(Int32Array.of(0, 3), [2], { dtype: 'bool' }))).toEqual([0, 1])
    expect(tensor([5], []).shape).toEqual([])
    expect(tensor([], [0, 3]).shape).toEqual([0, 3])
  })

  it.each([
    ['too few numbers', [1], [2], 'SHAPE_MISMATCH'],
    ['too many numbers', [1, 2, 3], [2], 'SHAPE_MISMATCH'],
    ['a negative size', [1], [-1], 'BAD_ARGUMENT'],
    ['half a size', [1, 2], [2.5], 'BAD_ARGUMENT'],
    ['a size that is no number', [1], [NaN], 'BAD_ARGUMENT'],
    ['too many dimensions', [1], Array(65).fill(1), 'BAD_ARGUMENT'],
  ] as const)('refuse %s', (_, values, shape, code) => {
    const error = torchErrorOf(() => tensor(values, shape))
    expect(error.code).toBe(code)
    expect(error.context.shape).toEqual(shape)
  })

  it('refuse arrays and names that have no dtype', () => {
    const error = torchErrorOf(() => tensor(new Uint32Array(2) as unknown as Int32Array, [2]))
    expect([error.code, error.message]).toEqual([
      'UNKNOWN_DTYPE',
      'tensor: no dtype for [object Uint32Array]',
    ])
    expect(codeOf(() => tensor([1], [1], { dtype: 'float8' as DType }))).toBe('BAD_ARGUMENT')
    expect(codeOf(() => scalarTypeOf('float8' as DType))).toBe('UNKNOWN_DTYPE')
  })
})

describe('copies to typed arrays', () => {
  it('convert every dtype', () => {
    for (const [dtype] of [...arrays, ['float16'], ['bool']] as [DType][]) {
      const x = tensor([1, 0, 3], [3], { dtype })
      const third = dtype === 'bool' ? 1 : 3
      expect(x.toFloat32Array()).toEqual(Float32Array.of(1, 0, third))
      expect(x.toFloat64Array()).toEqual(Float64Array.of(1, 0, third))
      expect(x.toInt32Array()).toEqual(Int32Array.of(1, 0, third))
      expect(x.toBigInt64Array()).toEqual(BigInt64Array.of(1n, 0n, BigInt(third)))
    }
  })

  it('follow the shape of tensors that are not contiguous', () => {
    const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])
    expect(valuesOf(transpose(x, 0, 1))).toEqual([1, 4, 2, 5, 3, 6])
    expect(valuesOf(narrow(x, 1, 1, 2))).toEqual([2, 3, 5, 6])
  })

  it('leave the graph', () => {
    const x = tensor([1, 2], [2]).setRequiresGrad()
    expect(mul(x, 2).toFloat32Array()).toEqual(Float32Array.of(2, 4))
  })

  it('round bfloat16 to nearest, ties to even, and show its raw bits', () => {
    const wide = tensor([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -3.14159274], [4])
    const narrowed = toDType(wide, 'bfloat16')
    expect(narrowed.toFloat32Array()).toEqual(Float32Array.of(1, 1, 1 + 2 ** -6, -3.140625))
    expect(narrowed.toRawUint16Array()).toEqual(Uint16Array.of(0x3f80, 0x3f80, 0x3f82, 0xc049))
    expect(toDType(wide, 'float16').toRawUint16Array()[0]).toBe(0x3c00)
    expect(codeOf(() => wide.toRawUint16Array())).toBe('TYPE_ERROR')
  })

  it('give one element as a number', () => {
    const items = [full([], 2.5), ones([1, 1], { dtype: 'bfloat16' }), tensor([7], [1], { dtype: 'int64' })]
    expect(items.map((x) => x.item())).toEqual([2.5, 1, 7])
    expect(tensor([1], [], { dtype: 'bool' }).item()).toBe(1)
    expect(torchErrorOf(() => ones([2]).item()).message).toMatch(/^item: a Tensor with 2 elements/)
  })

  it('need an array of the right size', () => {
    const x = ones([2])
    const { native } = engine()
    for (const length of [0, 1, 3]) {
      expect(() => native.toHost(x.handle, new Float32Array(length))).toThrow(/the tensor has 8 bytes/)
    }
    expect(() => native.toHost(x.handle, new DataView(new ArrayBuffer(8)))).toThrow(/typed array/)
  })
})

describe('a file', () => {
  const path = join(folder, 'tensor.bin')

  it('takes a tensor and gives it back, at an offset', () => {
    const fd = openSync(path, 'w+')
    const x = tensor([1, 2, 3, 4, 5, 6], [2, 3], { dtype: 'bfloat16' })
    expect(transpose(x, 0, 1).writeToFile(fd, 10)).toBe(12)
    const bytes = readFileSync(path)
    expect([...bytes.subarray(0, 10)]).toEqual(Array(10).fill(0))
    expect([...new Uint16Array(bytes.buffer.slice(bytes.byteOffset + 10, bytes.byteOffset + 22))]).toEqual([
      ...toDType(tensor([1, 4, 2, 5, 3, 6], [6]), 'bfloat16').toRawUint16Array(),
    ])
    const back = zeros([3, 2], { dtype: 'bfloat16' })
    back.readFromFile(fd, 10)
    expect(valuesOf(back)).toEqual([1, 4, 2, 5, 3, 6])
    const strided = transpose(zeros([2, 3], { dtype: 'bfloat16' }), 0, 1)
    strided.readFromFile(fd, 10)
    expect(valuesOf(strided)).toEqual([1, 4, 2, 5, 3, 6])
    closeSync(fd)
  })

  it('that ends early is an error that says by how much', () => {
    writeFileSync(path, Buffer.alloc(10))
    const fd = openSync(path, 'r')
    const error = torchErrorOf(() => zeros([4]).readFromFile(fd, 2))
    expect([error.code, error.message]).toEqual([
      'FILE_IO',
      'readFromFile: read: the file ended 8 bytes early',
    ])
    expect(error.context.offset).toBe(2)
    expect(codeOf(() => zeros([4]).writeToFile(fd, 0))).toBe('FILE_IO')
    closeSync(fd)
    expect(codeOf(() => zeros([4]).readFromFile(-1, 0))).toBe('FILE_IO')
    expect(codeOf(() => zeros([4]).readFromFile(0.5, 0))).toBe('BAD_ARGUMENT')
  })
})

describe('text', () => {
  it('shows dtype, shape and device', () => {
    expect(String(zeros([2, 3], { dtype: 'int64' }))).toBe('Tensor(int64[2, 3], cpu)')
    expect(String(zeros([]))).toBe('Tensor(float32[], cpu)')
  })
})
