import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Generator, openScope, type Result, type Scope, Tensor } from './index.js'
import * as torch from './ops.js'
import { valuesOf } from './testing/compare.test.fixture.js'

const { tensor } = torch
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const { E, LN2, PI, SQRT2 } = Math
const x = () => tensor([1, 2, 3, 4, 5, 6], [2, 3])
const row = (...values: number[]) => tensor(values, [values.length])
const ids = (...values: number[]) => tensor(values, [values.length], { dtype: 'int64' })
const mask = (...values: number[]) => tensor(values, [values.length], { dtype: 'bool' })
const square = () => tensor([1, 2, 3, 4], [2, 2])
const batch = () => tensor([1, 2, 3, 4, 1, 0, 0, 2], [2, 2, 2])
const sigma = (v: number) => 1 / (1 + Math.exp(-v))
const total3 = E + E ** 2 + E ** 3

/** Values that the call gives; where a shape or a dtype is shown too, it is not the obvious one. */
type Check = readonly [
  call: () => Result,
  values: readonly number[] | boolean,
  shape?: readonly number[],
  dtype?: string,
]

/** By the name of the function; several calls where a function reaches several overloads. */
const checks: Readonly<Record<string, readonly Check[]>> = {
  zeros: [[() => torch.zeros([2, 1], { dtype: 'int32' }), [0, 0], [2, 1], 'int32']],
  ones: [[() => torch.ones([2]), [1, 1], [2], 'float32']],
  full: [[() => torch.full([2], 2.5, { dtype: 'float64' }), [2.5, 2.5], [2], 'float64']],
  empty: [[() => torch.zero_(torch.empty([3, 0, 2], { dtype: 'bool' })), [], [3, 0, 2], 'bool']],
  arange: [
    [() => torch.arange(3), [0, 1, 2], [3], 'int64'],
    [() => torch.arange(2, { dtype: 'float32' }), [0, 1], [2], 'float32'],
  ],
  zerosLike: [[() => torch.zerosLike(ids(4, 5)), [0, 0], [2], 'int64']],
  emptyLike: [[() => torch.zero_(torch.emptyLike(ids(4, 5))), [0, 0], [2], 'int64']],
  tensor: [[() => tensor([1, 2], [2, 1]), [1, 2], [2, 1], 'float32']],
  toDType: [[() => torch.toDType(row(1.9, -1.9), 'int32'), [1, -1], [2], 'int32']],
  toDevice: [[() => torch.toDevice(row(1, 2), 'cpu'), [1, 2], [2], 'float32']],
  detach: [[() => torch.detach(torch.mul(row(3).setRequiresGrad(), 2)), [6]]],
  clone: [[() => torch.add_(torch.clone(row(1)), row(1)), [2]]],
  contiguous: [[() => torch.view(torch.contiguous(torch.transpose(square(), 0, 1)), [4]), [1, 3, 2, 4]]],
  add: [
    [() => torch.add(row(1, 2), row(3, 5)), [4, 7]],
    [() => torch.add(row(1, 2), 3), [4, 5]],
  ],
  sub: [
    [() => torch.sub(row(1, 2), row(3, 5)), [-2, -3]],
    [() => torch.sub(row(1, 2), 3), [-2, -1]],
  ],
  mul: [
    [() => torch.mul(row(2, 3), row(5, 7)), [10, 21]],
    [() => torch.mul(row(2, 3), 4), [8, 12]],
  ],
  div: [
    [() => torch.div(row(3, 8), row(2, -4)), [1.5, -2]],
    [() => torch.div(row(3, 8), 4), [0.75, 2]],
  ],
  add_: [
    [() => torch.add_(row(1, 2), row(3, 4)), [4, 6]],
    [() => torch.add_(row(1, 2), row(3, 4), -2), [-5, -6]],
  ],
  sub_: [[() => torch.sub_(row(1, 2), row(3, 5)), [-2, -3]]],
  mul_: [
    [() => torch.mul_(row(2, 3), row(5, 7)), [10, 21]],
    [() => torch.mul_(row(2, 3), 4), [8, 12]],
  ],
  neg: [[() => torch.neg(row(1, -2)), [-1, 2]]],
  exp: [[() => torch.exp(row(0, 1)), [1, E]]],
  exp_: [[() => torch.exp_(row(0, 2)), [1, E ** 2]]],
  log: [[() => torch.log(row(1, 2)), [0, LN2]]],
  sin: [[() => torch.sin(row(0, PI / 2, -PI / 6)), [0, 1, -0.5]]],
  cos: [[() => torch.cos(row(0, PI / 3, PI)), [1, 0.5, -1]]],
  sqrt: [[() => torch.sqrt(row(4, 2)), [2, SQRT2]]],
  rsqrt: [[() => torch.rsqrt(row(4, 0.25)), [0.5, 2]]],
  pow: [[() => torch.pow(row(2, 3), 3), [8, 27]]],
  sigmoid: [[() => torch.sigmoid(row(0, 2)), [0.5, sigma(2)]]],
  silu: [[() => torch.silu(row(0, 2)), [0, 2 * sigma(2)]]],
  siluBackward: [
    [() => torch.siluBackward(row(3, 3), row(0, 2)), [1.5, 3 * sigma(2) * (1 + 2 * (1 - sigma(2)))]],
  ],
  softmax: [
    [() => torch.softmax(row(1, 2, 3), 0), [E / total3, E ** 2 / total3, E ** 3 / total3]],
    [() => torch.softmax(torch.zeros([2, 1]), 0, 'float64'), [0.5, 0.5], [2, 1], 'float64'],
  ],
  logSoftmax: [
    [() => torch.logSoftmax(row(1, 2, 3), 0), [1, 2, 3].map((v) => v - Math.log(total3))],
    [() => torch.logSoftmax(torch.zeros([2, 1]), 1, 'float64'), [0, 0], [2, 1], 'float64'],
  ],
  clamp: [
    [() => torch.clamp(row(1, 2, 3), 1.5, 2.5), [1.5, 2, 2.5]],
    [() => torch.clamp(row(1, 2, 3), null, 2), [1, 2, 2]],
    [() => torch.clamp(row(1, 2, 3), 2, null), [2, 2, 3]],
  ],
  where: [[() => torch.where(mask(1, 0), row(1, 2), row(3, 4)), [1, 4]]],
  maskedFill: [[() => torch.maskedFill(row(1, 2), mask(0, 1), -5), [1, -5]]],
  isFiniteMask: [[() => torch.isFiniteMask(row(1, NaN, -Infinity)), [1, 0, 0], [3], 'bool']],
  eq: [
    [() => torch.eq(ids(1, 2), ids(1, 3)), [1, 0], [2], 'bool'],
    [() => torch.eq(ids(1, 2, 3), 2), [0, 1, 0], [3], 'bool'],
  ],
  ge: [[() => torch.ge(row(1, 2, 3), 2), [0, 1, 1], [3], 'bool']],
  le: [[() => torch.le(row(1, 2, 3), row(2, 2, 2)), [1, 1, 0], [3], 'bool']],
  logicalAnd: [[() => torch.logicalAnd(mask(1, 1, 0), mask(1, 0, 0)), [1, 0, 0], [3], 'bool']],
  all: [
    [() => torch.all(mask(1, 0)), [0], [], 'bool'],
    [() => torch.all(mask(1, 1)), [1], [], 'bool'],
  ],
  equal: [
    [() => torch.equal(row(1, 2), row(1, 2)), true],
    [() => torch.equal(row(1, 2), row(1, 3)), false],
    [() => torch.equal(row(1), tensor([1], [1, 1])), false],
  ],
  allclose: [
    [() => torch.allclose(row(1), row(1.000001)), true],
    [() => torch.allclose(row(1), row(1.001)), false],
    [() => torch.allclose(row(1), row(1.001), 0, 0.01), true],
    [() => torch.allclose(row(1), row(1.001), 0.01, 0), true],
  ],
  sum: [
    [() => torch.sum(x()), [21], []],
    [() => torch.sum(x(), 1), [6, 15], [2]],
    [() => torch.sum(x(), [0, 1], true), [21], [1, 1]],
    [() => torch.sum(x(), -2, false, 'float64'), [5, 7, 9], [3], 'float64'],
    [() => torch.sum(x(), undefined, false, 'int64'), [21], [], 'int64'],
  ],
  mean: [
    [() => torch.mean(x()), [3.5], []],
    [() => torch.mean(x(), 0), [2.5, 3.5, 4.5], [3]],
    [() => torch.mean(x(), [1], true), [2, 5], [2, 1]],
  ],
  argmax: [[() => torch.argmax(tensor([1, 9, 3, 4, 0, 5], [2, 3]), 1), [1, 2], [2], 'int64']],
  norm: [
    [() => torch.norm(row(3, 4)), [5], []],
    [() => torch.norm(tensor([3, 4, 6, 8], [2, 2]), 1), [5, 10], [2]],
    [() => torch.norm(tensor([3, 4], [2, 1]), 0, true, 'float64'), [5], [1, 1], 'float64'],
  ],
  matmul: [
    [() => torch.matmul(x(), row(1, 0, 1)), [4, 10], [2]],
    [() => torch.matmul(batch(), square()), [7, 10, 15, 22, 1, 2, 6, 8], [2, 2, 2]],
  ],
  mm: [[() => torch.mm(square(), x()), [9, 12, 15, 19, 26, 33], [2, 3]]],
  addmm_: [[() => torch.addmm_(square(), square(), square()), [8, 12, 18, 26]]],
  bmm: [[() => torch.bmm(batch(), batch()), [7, 10, 15, 22, 1, 0, 0, 4]]],
  baddbmm: [
    [() => torch.baddbmm(batch(), batch(), batch()), [8, 12, 18, 26, 2, 0, 0, 6]],
    [() => torch.baddbmm(batch(), batch(), batch(), { beta: 10, alpha: 2 }), [24, 40, 60, 84, 12, 0, 0, 28]],
  ],
  linear: [
    [() => torch.linear(row(1, 0, 2), x()), [7, 16], [2]],
    [() => torch.linear(row(1, 0, 2), x(), row(10, 20)), [17, 36], [2]],
  ],
  embedding: [
    [
      () => torch.embedding(x(), tensor([1, 0, 1, 1], [2, 2], { dtype: 'int64' })),
      [4, 5, 6, 1, 2, 3, 4, 5, 6, 4, 5, 6],
      [2, 2, 3],
    ],
  ],
  reshape: [[() => torch.reshape(torch.transpose(x(), 0, 1), [2, -1]), [1, 4, 2, 5, 3, 6], [2, 3]]],
  view: [[() => torch.view(x(), [3, 2]), [1, 2, 3, 4, 5, 6], [3, 2]]],
  transpose: [[() => torch.transpose(x(), 0, -1), [1, 4, 2, 5, 3, 6], [3, 2]]],
  permute: [
    [() => torch.permute(tensor([1, 2, 3, 4, 5, 6], [1, 2, 3]), [2, 0, 1]), [1, 4, 2, 5, 3, 6], [3, 1, 2]],
  ],
  unsqueeze: [[() => torch.unsqueeze(row(1, 2), -1), [1, 2], [2, 1]]],
  squeeze: [[() => torch.squeeze(torch.ones([1, 2, 1]), 0), [1, 1], [2, 1]]],
  expand: [[() => torch.expand(tensor([1, 2], [2, 1]), [2, 3]), [1, 1, 1, 2, 2, 2], [2, 3]]],
  narrow: [[() => torch.narrow(x(), 1, 1, 2), [2, 3, 5, 6], [2, 2]]],
  select: [[() => torch.select(x(), 1, 2), [3, 6], [2]]],
  slice: [[() => torch.slice(row(1, 2, 3, 4), 0, 1, -1), [2, 3], [2]]],
  cat: [
    [() => torch.cat([square(), tensor([5, 6], [1, 2])]), [1, 2, 3, 4, 5, 6], [3, 2]],
    [() => torch.cat([square(), square()], -1), [1, 2, 1, 2, 3, 4, 3, 4], [2, 4]],
  ],
  stack: [
    [() => torch.stack([row(1, 2), row(3, 4)]), [1, 2, 3, 4], [2, 2]],
    [() => torch.stack([row(1, 2), row(3, 4)], 1), [1, 3, 2, 4], [2, 2]],
  ],
  chunk: [[() => torch.stack(torch.chunk(row(1, 2, 3, 4), 2, 0), 1), [1, 3, 2, 4], [2, 2]]],
  split: [[() => torch.cat(torch.split(x(), [1, 2], 1).reverse(), 1), [2, 3, 1, 5, 6, 4], [2, 3]]],
  gather: [[() => torch.gather(x(), 1, tensor([2, 0], [2, 1], { dtype: 'int64' })), [3, 4], [2, 1]]],
  indexSelect: [[() => torch.indexSelect(x(), 1, ids(2, 2, 0)), [3, 3, 1, 6, 6, 4], [2, 3]]],
  indexAdd: [[() => torch.indexAdd(row(1, 2, 3), 0, ids(2, 0, 2), row(10, 20, 30)), [21, 2, 43]]],
  indexCopy_: [[() => torch.indexCopy_(row(1, 2, 3), 0, ids(2, 0), row(10, 20)), [20, 2, 10]]],
  scatterAdd_: [[() => torch.scatterAdd_(row(1, 2, 3), 0, ids(2, 2), row(10, 20)), [1, 2, 33]]],
  triu: [
    [() => torch.triu(square()), [1, 2, 0, 4]],
    [() => torch.triu(square(), 1), [0, 2, 0, 0]],
  ],
  copy_: [[() => torch.copy_(torch.zeros([2], { dtype: 'int64' }), row(1, 2)), [1, 2], [2], 'int64']],
  zero_: [[() => torch.zero_(row(1, 2)), [0, 0]]],
  fill_: [[() => torch.fill_(row(1, 2), 7), [7, 7]]],
  normal_: [[() => torch.normal_(row(1, 2), 3, 0, new Generator(0)), [3, 3]]],
  uniform_: [[() => torch.uniform_(row(1, 2), 5, 5.000001, new Generator(0)), [5, 5]]],
  bernoulli_: [
    [() => torch.bernoulli_(row(5, 6), 1, new Generator(0)), [1, 1]],
    [() => torch.bernoulli_(row(5, 6), 0), [0, 0]],
  ],
}

describe('ops', () => {
  const cases = Object.entries(checks).flatMap(([name, list]) => list.map((check) => [name, check] as const))

  it.each(cases)('%s computes what its name says', (_, [call, values, shape, dtype]) => {
    const result = call()
    if (typeof values === 'boolean') {
      expect(result).toBe(values)
      return
    }
    const actual = valuesOf(result)
    expect(actual).toHaveLength(values.length)
    for (const [i, value] of values.entries()) expect(actual[i]).toBeCloseTo(value, 5)
    expect(result).toBeInstanceOf(Tensor)
    if (shape) expect((result as Tensor).shape).toEqual(shape)
    if (dtype) expect((result as Tensor).dtype).toBe(dtype)
  })

  it('has a check for every function', () => {
    const functions = Object.entries(torch).filter(([, value]) => typeof value === 'function')
    expect(functions.map(([name]) => name).toSorted()).toEqual(Object.keys(checks).toSorted())
  })
})
