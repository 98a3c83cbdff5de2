import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Generator, openScope, type Scope, type Tensor } from './index.js'
import * as torch from './ops.js'
import { valuesOf } from './testing/compare.test.fixture.js'

let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const row = (...values: number[]) => torch.tensor(values, [values.length])
const matrix = () => torch.tensor([1, 2, 3, 4, 5, 6], [2, 3])

describe('an operator', () => {
  it('changes the argument itself where the name ends in an underscore', () => {
    const inPlace = [
      torch.exp_,
      torch.zero_,
      (v: Tensor) => torch.fill_(v, 1),
      (v: Tensor) => torch.mul_(v, 2),
    ]
    for (const op of inPlace) {
      const v = row(1, 2)
      expect(op(v)).toBe(v)
    }
    for (const op of [torch.add_, torch.sub_, torch.mul_, torch.copy_]) {
      const v = row(1, 2)
      expect(op(v, row(1, 1))).toBe(v)
    }
  })

  it('leaves its argument alone where the name does not', () => {
    const index = torch.tensor([0], [1], { dtype: 'int64' })
    const one = row(5)
    const pure = [
      torch.exp,
      torch.neg,
      torch.sqrt,
      (v: Tensor) => torch.add(v, v),
      (v: Tensor) => torch.mul(v, 2),
    ]
    for (const op of [...pure, (v: Tensor) => torch.indexAdd(v, 0, index, one)]) {
      const v = row(1, 2)
      expect(op(v)).not.toBe(v)
      expect(valuesOf(v)).toEqual([1, 2])
    }
  })

  it('fills memory that was used before', () => {
    const n = 2 ** 18
    const like = torch.full([n], 3)
    const used = () => torch.full([n], 7).dispose()
    const fresh = [() => torch.zeros([n]), () => torch.ones([n]), () => torch.zerosLike(like)]
    for (const [i, make] of fresh.entries()) {
      used()
      expect(new Set(valuesOf(make()))).toEqual(new Set([i % 2]))
    }
  })

  it('gives detached tensors the same memory and no graph', () => {
    const v = row(1, 2).setRequiresGrad()
    const apart = torch.detach(v)
    expect([apart === v, apart.requiresGrad]).toEqual([false, false])
    torch.fill_(apart, 5)
    expect(valuesOf(v)).toEqual([5, 5])
  })

  it('shares memory between views and not between copies', () => {
    const v = matrix()
    torch.zero_(torch.select(v, 0, 0))
    expect(valuesOf(v)).toEqual([0, 0, 0, 4, 5, 6])
    torch.zero_(torch.clone(v))
    expect(valuesOf(v)).toEqual([0, 0, 0, 4, 5, 6])
    const same = torch.toDType(v, 'float32')
    expect(same).not.toBe(v)
    torch.fill_(same, 1)
    expect(valuesOf(v)).toEqual(Array(6).fill(1))
  })

  it('draws numbers of the asked mean and spread', () => {
    const n = 20_000
    const normal = torch.normal_(torch.empty([n]), 3, 2, new Generator(1))
    const uniform = torch.uniform_(torch.empty([n]), -1, 3, new Generator(1))
    const spread = (v: Tensor) => torch.norm(torch.sub(v, torch.mean(v))).item() / Math.sqrt(n)
    expect([torch.mean(normal).item(), spread(normal)]).toEqual([expect.closeTo(3, 1), expect.closeTo(2, 1)])
    expect([torch.mean(uniform).item(), spread(uniform)]).toEqual([
      expect.closeTo(1, 1),
      expect.closeTo(4 / Math.sqrt(12), 1),
    ])
    expect(torch.all(torch.ge(uniform, -1)).item()).toBe(1)
  })
})
