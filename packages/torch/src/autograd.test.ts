import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  add_,
  backward,
  detach,
  enableGrad,
  grad,
  memoryStats,
  mul,
  noGrad,
  ones,
  openScope,
  type Scope,
  scope,
  sum,
  type Tensor,
  tensor,
} from './index.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const leaf = (...values: number[]) => tensor(values, [values.length]).setRequiresGrad()
const gradOf = (x: Tensor) => (x.grad ? valuesOf(x.grad) : undefined)
let all: Scope
const liveAtStart = memoryStats().liveTensors

beforeAll(() => {
  all = openScope()
})
afterAll(() => {
  all[Symbol.dispose]()
  expect(memoryStats().liveTensors).toBe(liveAtStart)
})

describe('backward', () => {
  it('accumulates into the leaves until their gradients are dropped', () => {
    const x = leaf(1, 2)
    backward([sum(mul(x, x))])
    expect(gradOf(x)).toEqual([2, 4])
    backward([sum(x)])
    expect(gradOf(x)).toEqual([3, 5])
    x.grad = undefined
    expect(x.grad).toBeUndefined()
  })

  it('takes one gradient per output', () => {
    const x = leaf(1, 2)
    backward([mul(x, 3), sum(x)], [tensor([1, 10], [2]), undefined])
    expect(gradOf(x)).toEqual([4, 31])
  })

  it('can leave all leaves alone but the given inputs', () => {
    const [x, y] = [leaf(1), leaf(2)]
    backward([mul(x, y)], [tensor([3], [1])], { inputs: [y] })
    expect([gradOf(x), gradOf(y)]).toEqual([undefined, [3]])
  })

  it('runs through a graph twice only when it was retained', () => {
    const x = leaf(2)
    const y = sum(mul(x, x))
    backward([y], [], { retainGraph: true })
    backward([y])
    expect(gradOf(x)).toEqual([8])
    expect(torchErrorOf(() => backward([y])).message).toMatch(
      /^backward: Trying to backward through the graph/,
    )
  })

  it('refuses outputs without a graph, missing gradients and gradients of another shape', () => {
    expect(torchErrorOf(() => backward([ones([])])).message).toMatch(/does not require grad/)
    expect(torchErrorOf(() => backward([leaf(1, 2)])).message).toMatch(/scalar outputs/)
    const error = torchErrorOf(() => backward([mul(leaf(1, 2), 2)], [ones([3])]))
    expect(error.context.shapes).toEqual(['Tensor(float32[2], cpu)'])
    expect(error.message).not.toContain('\n')
  })

  it('lets the gradient be replaced by hand', () => {
    const x = leaf(1, 2)
    const given = tensor([5, 6], [2])
    x.grad = given
    backward([sum(x)])
    expect(gradOf(x)).toEqual([6, 7])
  })
})

describe('grad', () => {
  it('returns gradients in the order of the inputs and leaves the accumulated ones alone', () => {
    const [x, y] = [leaf(2), leaf(5)]
    const result = grad([sum(mul(mul(x, x), y))], [y, x])
    expect(result.map((one) => valuesOf(one!))).toEqual([[4], [20]])
    expect([x.grad, y.grad]).toEqual([undefined, undefined])
  })

  it('weighs several outputs by their gradients', () => {
    const x = leaf(1, 1)
    const [total] = grad([mul(x, 2), mul(x, 3)], [x], [tensor([1, 0], [2]), tensor([0, 10], [2])])
    expect(valuesOf(total!)).toEqual([2, 30])
  })

  it('gives undefined for unused inputs only where that is allowed', () => {
    const [x, unused] = [leaf(1), leaf(1)]
    const y = sum(mul(x, 2))
    expect(torchErrorOf(() => grad([y], [x, unused], [], { retainGraph: true })).message).toMatch(
      /not have been used/,
    )
    const [first, second] = grad([y], [x, unused], [], { allowUnused: true })
    expect([valuesOf(first!), second]).toEqual([[2], undefined])
  })

  it('leaves its results to the current scope', () => {
    const x = leaf(3)
    const inner = scope(() => {
      const [dx] = grad([sum(mul(x, x))], [x])
      expect(valuesOf(dx!)).toEqual([6])
      return { dx: undefined, seen: [dx!.handle] }
    })
    expect(inner.seen).toHaveLength(1)
  })
})

describe('requiresGrad', () => {
  it('can be switched on leaves of floating-point numbers only', () => {
    const x = leaf(1)
    const y = mul(x, 2)
    expect([x.requiresGrad, y.requiresGrad, detach(y).requiresGrad]).toEqual([true, true, false])
    expect(x.setRequiresGrad(false).requiresGrad).toBe(false)
    expect(codeOf(() => y.setRequiresGrad(false))).toBe('NOT_A_LEAF')
    const ids = tensor([1], [1], { dtype: 'int64' })
    expect(torchErrorOf(() => ids.setRequiresGrad()).message).toMatch(/floating point/)
  })
})

describe('noGrad and enableGrad', () => {
  const x = ones([1]).persist().setRequiresGrad()
  const records = () => scope(() => mul(x, 2).requiresGrad)
  afterAll(() => x.dispose())

  it('nest and restore the mode around them', () => {
    expect(records()).toBe(true)
    const seen = noGrad(() => [
      records(),
      enableGrad(() => [records(), noGrad(records), records()]),
      records(),
    ])
    expect(seen).toEqual([false, [true, false, true], false])
    expect(records()).toBe(true)
  })

  it('return what the callback returns', () => {
    expect(noGrad(() => 5)).toBe(5)
    expect(enableGrad(() => 'text')).toBe('text')
  })

  it('restore the mode when the callback throws', () => {
    const fail = () => {
      throw new Error('inside')
    }
    expect(() => noGrad(fail)).toThrow('inside')
    expect(records()).toBe(true)
    noGrad(() => {
      expect(() => enableGrad(fail)).toThrow('inside')
      expect(records()).toBe(false)
    })
  })

  it('refuse a promise and restore the mode', async () => {
    const fail = async () => {
      throw new Error('never seen')
    }
    for (const mode of [noGrad, enableGrad]) {
      expect(torchErrorOf(() => mode(fail)).message).toMatch(
        new RegExp(`^${mode.name}: the callback returned a promise`),
      )
      expect(codeOf(() => mode(fail))).toBe('SCOPE_ASYNC')
      expect(records()).toBe(true)
    }
    await new Promise((resolve) => setImmediate(resolve))
  })

  it('let leaves be changed in place', () => {
    using w = ones([1]).setRequiresGrad()
    expect(codeOf(() => addOne_(w))).toBe('TORCH_ERROR')
    noGrad(() => addOne_(w))
    expect(valuesOf(w)).toEqual([2])
  })
})

function addOne_(w: Tensor): void {
  scope(() => add_(w, ones([1])))
}
