import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  bind,
  buildInfo,
  clamp,
  div,
  full,
  Generator,
  mul,
  narrow,
  nn,
  norm,
  normal_,
  openScope,
  type Scope,
  setNumThreads,
  sub,
  sum,
  type Tensor,
  tensor,
  toDType,
  zeros,
} from '../index.js'
import { runModule } from '../testing/child-process.test.fixture.js'
import { codeOf, relativeError, valuesOf } from '../testing/compare.test.fixture.js'

let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const SHAPES = [
  [1, 1],
  [3, 7],
  [130, 64],
  [65, 300],
] as const
const drawn = (shape: readonly number[], seed = 1) => normal_(zeros(shape), 0.5, 1, new Generator(seed))

function composed(x: Tensor, mean?: Tensor): Tensor {
  const x64 = toDType(x, 'float64')
  const centred = mean ? sub(x64, toDType(mean, 'float64')) : x64
  return div(centred, clamp(norm(centred, -1, true), 1e-8, null))
}

describe('unitRows', () => {
  it.each(SHAPES)('gives what float64 gives to 1e-6: [%i, %i]', (N, D) => {
    const x = drawn([N, D])
    const mean = drawn([D], 2)
    expect(relativeError(nn.unitRows(x), composed(x))).toBeLessThan(1e-6)
    expect(relativeError(nn.unitRows(x, mean), composed(x, mean))).toBeLessThan(1e-6)
    // Of other dtypes it is made out of LibTorch's operators.
    expect(
      relativeError(nn.unitRows(toDType(x, 'float64'), toDType(mean, 'float64')), composed(x, mean)),
    ).toBe(0)
  })

  it('does so with every set of instructions, to the same numbers on any number of threads', () => {
    const source = `const { Generator, nn, normal_, zeros } = torch
      const x = normal_(zeros([130, 37]), 0, 1, new Generator(1))
      console.log(torch.buildInfo().kernels, nn.unitRows(x, x.device && torch.select(x, 0, 0)).toFloat32Array().slice(37, 40).join())`
    const outputs = ['default', 'avx2'].map(
      (capability) => runModule(source, { ATEN_CPU_CAPABILITY: capability }).stdout.trim().split(' ')[1]!,
    )
    const [first, second] = outputs.map((text) => text.split(',').map(Number))
    for (const [i, value] of first!.entries()) expect(value).toBeCloseTo(second![i]!, 5)
    const x = drawn([700, 33])
    const before = buildInfo().numThreads
    const results = [1, 3].map((threads) => {
      setNumThreads(threads)
      return valuesOf(nn.unitRows(x))
    })
    setNumThreads(before)
    expect(results[1]).toEqual(results[0])
  })

  it('divides by no less than 1e-8, keeps what is not a number to its row, and takes none', () => {
    const rows = tensor([0, 0, 3e-9, 4e-9, Number.NaN, 1, 3, 4], [4, 2])
    const found = valuesOf(nn.unitRows(rows))
    expect(found.slice(0, 2)).toEqual([0, 0])
    expect(found[2]).toBeCloseTo(0.3, 6)
    expect(found.slice(4, 6)).toEqual([Number.NaN, Number.NaN])
    expect(found.slice(6)).toEqual(valuesOf(tensor([0.6, 0.8], [2])))
    expect(nn.unitRows(zeros([0, 5])).shape).toEqual([0, 5])
    const wide = tensor([3, 4, 9, 6, 8, 9], [2, 3])
    expect(valuesOf(nn.unitRows(narrow(wide, 1, 0, 2)))).toEqual(valuesOf(tensor([0.6, 0.8, 0.6, 0.8], [4])))
  })

  it('refuses what does not fit', () => {
    const kernel = bind('adapt::unit_rows')
    for (const call of [
      () => kernel(zeros([3])),
      () => kernel(zeros([3, 2], { dtype: 'bfloat16' })),
      () => kernel(zeros([3, 2]), zeros([3])),
      () => kernel(zeros([3, 2]), full([2], 1, { dtype: 'float64' })),
      () => kernel(zeros([3, 2]), undefined, 0),
    ])
      expect(codeOf(call)).toBe('TORCH_ERROR')
  })
})

describe('dotRows', () => {
  it.each(SHAPES)('gives what float64 gives to 1e-6: [%i, %i]', (N, D) => {
    const [x, vector] = [drawn([N, D]), drawn([1, D], 2)]
    const expected = sum(mul(toDType(x, 'float64'), toDType(vector, 'float64')), -1)
    expect(relativeError(nn.dotRows(x, vector), expected)).toBeLessThan(1e-6)
    expect(relativeError(nn.dotRows(toDType(x, 'float64'), toDType(vector, 'float64')), expected)).toBe(0)
    // Whatever else is asked about.
    const last = narrow(x, 0, N - 1, 1)
    expect(valuesOf(nn.dotRows(last, vector))).toEqual(valuesOf(nn.dotRows(x, vector)).slice(-1))
    expect(nn.dotRows(x, vector).shape).toEqual([N])
  })

  it('refuses what does not fit', () => {
    const kernel = bind('adapt::dot_rows')
    for (const call of [
      () => kernel(zeros([3]), zeros([3])),
      () => kernel(zeros([3, 2], { dtype: 'bfloat16' }), zeros([2])),
      () => kernel(zeros([3, 2]), zeros([3])),
    ])
      expect(codeOf(call)).toBe('TORCH_ERROR')
    expect(nn.dotRows(zeros([0, 4]), zeros([4])).shape).toEqual([0])
    expect(valuesOf(nn.dotRows(zeros([2, 0]), zeros([0])))).toEqual([0, 0])
  })
})
