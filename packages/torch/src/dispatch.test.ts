import { describe, expect, it } from 'vitest'
import {
  add,
  bind,
  full,
  Generator,
  hasOperator,
  type Operator,
  ones,
  ops,
  type Result,
  type Tensor,
  tensor,
  zeros,
} from './index.js'
import { engine } from './native.js'
import { valuesOf } from './testing/compare.test.fixture.js'

const aten = (name: string): Operator => ops.aten![name]!
const overload = (name: string, overloadName: string): Operator => ops.aten![name]![overloadName]!
const asTensor = (result: Result) => result as Tensor
const asList = (result: Result) => result as Tensor[]
const matrix = () => tensor([1, 2, 3, 4, 5, 6], [2, 3])
const int64 = (...values: number[]) => tensor(values, [values.length], { dtype: 'int64' })

describe('choice of the overload', () => {
  it('follows the kinds of the arguments', () => {
    expect(valuesOf(aten('add')(matrix(), ones([3])))).toEqual([2, 3, 4, 5, 6, 7])
    expect(valuesOf(aten('add')(matrix(), 1))).toEqual([2, 3, 4, 5, 6, 7])
    expect(valuesOf(aten('pow')(matrix(), 2))).toEqual([1, 4, 9, 16, 25, 36])
    expect(valuesOf(aten('pow')(2, matrix()))).toEqual([2, 4, 8, 16, 32, 64])
    expect(valuesOf(aten('sum')(matrix()))).toEqual([21])
    expect(valuesOf(aten('sum')(matrix(), [0]))).toEqual([5, 7, 9])
    expect(valuesOf(aten('sum')(matrix(), 1))).toEqual([6, 15])
    expect(asList(aten('where')(int64(0, 1, 1))).map(valuesOf)).toEqual([[1, 2]])
  })

  it('follows the number of the arguments', () => {
    expect(valuesOf(aten('max')(matrix()))).toEqual([6])
    expect(asList(aten('max')(matrix(), 1)).map(valuesOf)).toEqual([
      [3, 6],
      [2, 2],
    ])
    expect(valuesOf(aten('max')(matrix(), full([3], 4)))).toEqual([4, 4, 4, 4, 5, 6])
  })

  it('does not take a list for a single integer', () => {
    const row = tensor([1, 2, 3], [3])
    expect(asList(aten('split')(row, [1, 2])).map(valuesOf)).toEqual([[1], [2, 3]])
    expect(asList(aten('split')(row, 2)).map(valuesOf)).toEqual([[1, 2], [3]])
  })

  it('tells the name of a dtype from the name of a device', () => {
    expect(asTensor(aten('to')(matrix(), 'float64')).dtype).toBe('float64')
    expect(asTensor(aten('to')(matrix(), 'cpu', 'bfloat16')).dtype).toBe('bfloat16')
    expect(asTensor(aten('to')(matrix(), { dtype: 'int32' })).dtype).toBe('int32')
  })

  it('can be made by name, `default` standing for the overload without one', () => {
    expect(valuesOf(overload('add', 'Tensor')(matrix(), matrix(), { alpha: 10 }))[0]).toBe(11)
    expect(valuesOf(overload('mm', 'default')(matrix(), ones([3, 1])))).toEqual([6, 15])
  })
})

describe('arguments', () => {
  it('are bound by name, in any order, beside positional ones', () => {
    const x = matrix()
    expect(valuesOf(aten('sum')(x, { keepdim: true, dim: [1] }))).toEqual([6, 15])
    expect(asTensor(aten('sum')(x, { keepdim: true, dim: [1] })).shape).toEqual([2, 1])
    expect(valuesOf(overload('sum', 'dim_IntList')({ dim: 0, self: x }))).toEqual([5, 7, 9])
    expect(valuesOf(overload('add', 'Tensor')(x, { other: ones([1]), alpha: 3 }))[0]).toBe(4)
  })

  it('take their defaults when left out or undefined', () => {
    const x = ones([2, 2])
    expect(valuesOf(aten('triu')(x))).toEqual([1, 1, 0, 1])
    expect(valuesOf(aten('triu')(x, undefined))).toEqual([1, 1, 0, 1])
    expect(valuesOf(aten('triu')(x, { diagonal: undefined }))).toEqual([1, 1, 0, 1])
    expect(valuesOf(aten('triu')(x, 1))).toEqual([0, 1, 0, 0])
  })

  it('can be null where the schema allows None', () => {
    expect(valuesOf(aten('clamp')(matrix(), null, 3))).toEqual([1, 2, 3, 3, 3, 3])
    expect(valuesOf(aten('clamp')(matrix(), 3, null))).toEqual([3, 3, 3, 4, 5, 6])
    expect(asTensor(aten('softmax')(matrix(), 1, null)).dtype).toBe('float32')
  })

  it('can be lists of tensors, of optional tensors, of numbers, of booleans and of scalars', () => {
    const x = matrix()
    expect(valuesOf(aten('cat')([x, x], 1))).toEqual([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6])
    expect(valuesOf(overload('index', 'Tensor')(x, [null, int64(2, 0)]))).toEqual([3, 1, 6, 4])
    expect(valuesOf(aten('permute')(x, [1, 0]))).toEqual([1, 4, 2, 5, 3, 6])
    const row = tensor([1, 2], [1, 1, 2])
    expect(valuesOf(overload('upsample_nearest1d', 'vec')(row, null, [2.5]))).toEqual([1, 1, 1, 2, 2])
    const scaled = overload('_foreach_mul', 'ScalarList')([ones([1]), ones([2])], [2, 0.5]) as Tensor[]
    expect(scaled.map(valuesOf)).toEqual([[2], [0.5, 0.5]])
    expect(asTensor(aten('sum')(ones([2, 2]), [])).shape).toEqual([])
  })

  it('can name a dtype, a device, a layout and a memory format', () => {
    const made = asTensor(aten('zeros')([2], { dtype: 'int16', device: 'cpu', layout: 'strided' }))
    expect([made.dtype, made.device]).toEqual(['int16', 'cpu'])
    const copy = aten('clone')(aten('permute')(matrix(), [1, 0]) as Tensor, { memory_format: 'contiguous' })
    expect(valuesOf(aten('view')(copy as Tensor, [6]))).toEqual([1, 4, 2, 5, 3, 6])
  })

  it('can be strings and generators', () => {
    expect(valuesOf(aten('div')(matrix(), 2, { rounding_mode: 'floor' }))).toEqual([0, 1, 1, 2, 2, 3])
    expect(valuesOf(aten('einsum')('ij,kj->ik', [matrix(), ones([1, 3])]))).toEqual([6, 15])
    const draw = () => valuesOf(aten('randperm')(8, { generator: new Generator(3) }))
    expect(draw()).toEqual(draw())
    expect(draw().toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })
})

describe('numbers beside tensors', () => {
  it('are integers where every tensor is of integers and the number is whole', () => {
    const sum = add(int64(1, 2), 3)
    expect([sum.dtype, valuesOf(sum)]).toEqual(['int64', [4, 5]])
    const half = add(int64(1, 2), 0.5)
    expect([half.dtype, valuesOf(half)]).toEqual(['float32', [1.5, 2.5]])
    expect(add(tensor([1], [1], { dtype: 'bool' }), 3).dtype).toBe('int64')
    expect(valuesOf(aten('clamp')(int64(1, 2), 2, Infinity))).toEqual([2, 2])
  })

  it('keep the dtype of floating tensors', () => {
    expect(add(ones([1], { dtype: 'bfloat16' }), 3).dtype).toBe('bfloat16')
    expect(add(ones([1], { dtype: 'float64' }), 0.1).toFloat64Array()).toEqual(Float64Array.of(1.1))
  })

  it('can be bigints, exact over the whole range of int64', () => {
    for (const value of [0n, -1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const made = asTensor(aten('full')([1], value, { dtype: 'int64' }))
      expect(made.toBigInt64Array()).toEqual(BigInt64Array.of(value))
    }
  })
})

describe('results', () => {
  it('of in-place operators and of `out` are the argument objects themselves', () => {
    const x = matrix()
    expect(aten('mul_')(x, 2)).toBe(x)
    const out = zeros([2, 3])
    expect(overload('add', 'out')(x, x, { out })).toBe(out)
    expect(valuesOf(out)).toEqual([4, 8, 12, 16, 20, 24])
    const values = zeros([0])
    const indices = zeros([0], { dtype: 'int64' })
    const pair = overload('max', 'dim_max')(x, 1, { max: values, max_values: indices }) as Tensor[]
    expect(pair[0]).toBe(values)
    expect(pair[1]).toBe(indices)
    expect(valuesOf(values)).toEqual([6, 12])
  })

  it('can be several tensors, a list of tensors, numbers, booleans or nothing', () => {
    const [top, places] = asList(aten('topk')(matrix(), 2, 1))
    expect([valuesOf(top!), valuesOf(places!)]).toEqual([
      [3, 2, 6, 5],
      [2, 1, 2, 1],
    ])
    expect(asList(aten('unbind')(matrix())).map(valuesOf)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(overload('size', 'int')(matrix(), 1)).toBe(3)
    expect(aten('item')(full([], 2.5))).toBe(2.5)
    expect(aten('equal')(matrix(), matrix())).toBe(true)
    expect(overload('_foreach_add_', 'Scalar')([matrix()], 1)).toBeUndefined()
  })

  it('are undefined where the operator returns no tensor', () => {
    const x = matrix()
    const [, mean, rstd] = asList(aten('native_layer_norm')(x, [3], null, null, 1e-5))
    const parts = aten('native_layer_norm_backward')(ones([2, 3]), x, [3], mean, rstd, ones([3]), ones([3]), [
      false,
      true,
      false,
    ]) as (Tensor | undefined)[]
    expect(parts.map((part) => part?.shape)).toEqual([undefined, [3], undefined])
  })
})

describe('operators', () => {
  it('show their schema', () => {
    expect(bind('aten::mm').schema).toBe('aten::mm(Tensor self, Tensor mat2) -> Tensor')
    expect(aten('add').schema.split('\n')).toContain(bind('aten::add', 'Tensor').schema)
  })

  it('can be asked for, and keep their number however often they are', () => {
    expect(hasOperator('aten::mm')).toBe(true)
    expect(hasOperator('aten::mm', 'nowhere')).toBe(false)
    expect(hasOperator('nowhere::mm')).toBe(false)
    const { native } = engine()
    const first = native.resolve('aten::mm', '')!
    expect(native.resolve('aten::mm', '')).toEqual(first)
  })
})
