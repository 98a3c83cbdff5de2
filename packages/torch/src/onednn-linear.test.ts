/** M rows, K width in, N width out. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  add_,
  addmm_,
  autocast,
  backward,
  bind,
  cat,
  clone,
  contiguous,
  expand,
  Generator,
  grad,
  hasOperator,
  linear,
  memoryStats,
  narrow,
  noGrad,
  normal_,
  ones,
  openScope,
  prefersOnednnLinear,
  type Scope,
  scope,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from './index.js'
import { onednnLinear } from './onednn-linear.js'
import { codeOf, relativeError, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const available = hasOperator('mkldnn::_linear_pointwise')
const reference = bind('aten::linear')
/** Both sum K products in float32, in different orders. */
const TOLERANCE = 1e-5
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const generator = new Generator(5)
const random = (...shape: number[]) => normal_(zeros(shape), 0, 1, generator)

/** Output and both gradients of a linear function at x, weight. */
function passThrough(
  apply: (x: Tensor, weight: Tensor) => Tensor,
  x: Tensor,
  weight: Tensor,
  dy: Tensor,
): Tensor[] {
  const [a, b] = [x, weight].map((one) => noGrad(() => bind('aten::detach')(one) as Tensor).setRequiresGrad())
  const y = apply(a!, b!)
  const [dx, dw] = grad([y], [a!, b!], [dy])
  return [y, dx!, dw!]
}

function expectSame(x: Tensor, weight: Tensor): void {
  const dy = random(...x.shape.slice(0, -1), weight.shape[0]!)
  const expected = passThrough((a, b) => reference(a, b) as Tensor, x, weight, dy)
  for (const [i, actual] of passThrough(onednnLinear, x, weight, dy).entries()) {
    expect(actual.shape).toEqual(expected[i]!.shape)
    expect(actual.dtype).toBe('float32')
    if (actual.numel > 0) expect(relativeError(actual, expected[i]!)).toBeLessThan(TOLERANCE)
  }
}

describe('prefersOnednnLinear', () => {
  it('is for float32 on the CPU outside autocast, where LibTorch has the operator', () => {
    const [x, half] = [ones([2, 2]), ones([2, 2], { dtype: 'bfloat16' })]
    expect(prefersOnednnLinear(x, x)).toBe(available)
    expect([prefersOnednnLinear(x, half), prefersOnednnLinear(half, x)]).toEqual([false, false])
    expect(autocast('cpu', 'bfloat16', () => prefersOnednnLinear(x, x))).toBe(false)
    expect(prefersOnednnLinear(x, x)).toBe(available)
  })
})

describe.skipIf(available)(
  'without the operator (needs a LibTorch that lacks mkldnn::_linear_pointwise)',
  () => {
    it('says so', () => {
      expect(codeOf(() => onednnLinear(ones([1, 2]), ones([3, 2])))).toBe('NO_SUCH_OPERATOR')
      expect(valuesOf(linear(ones([1, 2]), ones([3, 2])))).toEqual([2, 2, 2])
    })
  },
)

describe.runIf(available)('linear by oneDNN (needs mkldnn::_linear_pointwise, LibTorch 2 on x86)', () => {
  it('gives the outputs and gradients of aten::linear for any shape', () => {
    const size = fc.integer({ min: 1, max: 40 })
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }), size, size, (rows, k, n) => {
        scope(() => expectSame(random(...rows, k), random(n, k)))
      }),
      { numRuns: 60 },
    )
  })

  it.each([[[0, 4]], [[3, 0, 4]]])('takes no rows: %j', (shape) => {
    expectSame(zeros(shape), random(5, 4))
  })

  it('takes tensors that are not contiguous', () => {
    expectSame(transpose(random(6, 4), 0, 1), random(5, 6))
    expectSame(random(4, 6), transpose(random(6, 5), 0, 1))
    expectSame(expand(random(1, 6), [4, 6]), random(5, 6))
  })

  it('takes a gradient that is not contiguous', () => {
    const [x, weight] = [random(4, 6).setRequiresGrad(), random(5, 6).setRequiresGrad()]
    const dy = expand(random(1, 1), [4, 5])
    const expected = grad([reference(x, weight) as Tensor], [x, weight], [dy])
    for (const [i, actual] of grad([onednnLinear(x, weight)], [x, weight], [dy]).entries()) {
      expect(relativeError(actual!, expected[i]!)).toBeLessThan(TOLERANCE)
    }
  })

  it.each([
    [7, 3, 5],
    [300, 65, 17],
    [300, 17, 65],
    [1, 4, 3],
    [5, 1, 1],
    [0, 3, 2],
    // More columns than are taken at a time.
    [512, 1500, 20],
    [70, 20_000, 3],
  ])('adds products over rows: %i rows of %i and of %i', (P, N, K) => {
    const add = bind('adapt::add_product_over_rows_')
    const [a, b, before] = [random(P, N), random(P, K), random(N, K)]
    const expected = addmm_(clone(before), transpose(a, 0, 1), b)
    for (const [left, right] of [
      [a, b],
      [narrow(cat([random(P, 2), a], 1), 1, 2, N), transpose(contiguous(transpose(b, 0, 1)), 0, 1)],
    ]) {
      const sum = clone(before)
      add(sum, left, right)
      expect(relativeError(sum, expected)).toBeLessThan(TOLERANCE)
    }
    expect(codeOf(() => add(before, a, random(P + 1, K)))).toBe('TORCH_ERROR')
    expect(codeOf(() => add(random(N + 1, K), a, b))).toBe('TORCH_ERROR')
    expect(codeOf(() => add(before, a, zeros([P, K], { dtype: 'bfloat16' })))).toBe('TORCH_ERROR')
  })

  it('gives gradients only to what requires them', () => {
    const [x, frozen] = [ones([2, 3]).setRequiresGrad(), ones([4, 3])]
    backward([onednnLinear(x, frozen)], [ones([2, 4])])
    expect(valuesOf(x.grad!)).toEqual(Array(6).fill(4))
    expect(frozen.grad).toBeUndefined()
    const [input, weight] = [ones([2, 3]), ones([4, 3]).setRequiresGrad()]
    backward([onednnLinear(input, weight)], [ones([2, 4])])
    expect(valuesOf(weight.grad!)).toEqual(Array(12).fill(2))
    expect(noGrad(() => onednnLinear(x, weight)).requiresGrad).toBe(false)
  })

  it('lets go of what it saved', () => {
    const before = memoryStats()
    scope(() => {
      const weight = random(32, 32).setRequiresGrad()
      backward([onednnLinear(random(8, 32), weight)], [ones([8, 32])])
      weight.grad = undefined
    })
    expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes)
    expect(memoryStats().liveTensors).toBe(before.liveTensors)
  })

  it('refuses what does not fit, in one line', () => {
    const wrong: readonly [Tensor, Tensor, string][] = [
      [ones([2, 3]), ones([4, 5]), 'SHAPE_MISMATCH'],
      [ones([2, 3]), ones([3]), 'SHAPE_MISMATCH'],
      [ones([]), ones([4, 3]), 'SHAPE_MISMATCH'],
      [ones([2, 3]), ones([1, 4, 3]), 'SHAPE_MISMATCH'],
      [ones([2, 3], { dtype: 'float64' }), ones([4, 3]), 'TYPE_ERROR'],
      [tensor([1, 2, 3], [1, 3], { dtype: 'int64' }), ones([4, 3]), 'TYPE_ERROR'],
    ]
    for (const [x, weight, code] of wrong) {
      const error = torchErrorOf(() => onednnLinear(x, weight))
      expect(error.code).toBe(code)
      expect(error.message).toMatch(/^linear\(Tensor\(/)
      expect(error.message).not.toContain('\n')
    }
  })

  it('serves linear without a bias', () => {
    const [x, weight] = [random(3, 8), random(4, 8)]
    expect(valuesOf(linear(x, weight))).toEqual(valuesOf(onednnLinear(x, weight)))
  })
})

describe('adapt::transposed', () => {
  const transposed = bind('adapt::transposed')

  it.each([
    [1, 1],
    [3, 70],
    [129, 65],
  ])('is the transposed matrix in memory of its own: [%i, %i]', (N, K) => {
    const x = random(N, K)
    for (const matrix of [x, transpose(random(K, N), 0, 1)]) {
      const before = valuesOf(matrix)
      const turned = transposed(matrix) as Tensor
      expect(valuesOf(turned)).toEqual(valuesOf(transpose(matrix, 0, 1)))
      add_(turned, ones(turned.shape))
      expect(valuesOf(matrix)).toEqual(before)
    }
  })

  it('is of float32 only', () => {
    expect(codeOf(() => transposed(ones([2, 2], { dtype: 'float64' })))).toBe('TORCH_ERROR')
    expect(codeOf(() => transposed(ones([2])))).toBe('TORCH_ERROR')
  })
})
