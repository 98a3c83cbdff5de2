import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  full,
  memoryStats,
  nn,
  ones,
  openScope,
  optim,
  type Scope,
  type Tensor,
  tensor,
  zeros,
} from '../index.js'
import { relativeError, valuesOf } from '../testing/compare.test.fixture.js'
import { openGolden } from '../testing/golden.test.fixture.js'

const golden = openGolden('ops')
const NAMES = ['matrix', 'vector'] as const
let all: Scope
let list: nn.Parameter[]

beforeEach(() => {
  all = openScope()
  list = NAMES.map((name) => {
    const gradient = golden.tensor(`clip.${name}.grad`)
    const parameter = new nn.Parameter(zeros(gradient.shape))
    parameter.grad = gradient
    return parameter
  })
})
afterEach(() => {
  for (const parameter of list) {
    parameter.grad = undefined
    parameter.dispose()
  }
  all[Symbol.dispose]()
})

const close = (actual: Tensor, expected: Tensor) =>
  expect(relativeError(actual, expected)).toBeLessThan(golden.tolerance)

function expectGradients(kind: string): void {
  for (const [i, name] of NAMES.entries()) close(list[i]!.grad!, golden.tensor(`${kind}.${name}.grad`))
}

describe('clipGradNorm', () => {
  it.each([
    ['clip_strong', 1],
    ['clip_weak', 100],
  ])('clips as the reference does: %s', (kind, maxNorm) => {
    const total = optim.clipGradNorm(list, maxNorm)
    expect([total.dtype, total.shape]).toEqual(['float32', []])
    close(total, golden.tensor(`${kind}.norm`))
    expectGradients(kind)
  })

  it('scales first: the norm is that of the scaled gradients', () => {
    const scaleBack = 1 / 8
    optim.scaleGradients(list, 8)
    const total = optim.clipGradNorm(list, 1, { scale: scaleBack })
    close(total, golden.tensor('clip_strong.norm'))
    expectGradients('clip_strong')
  })

  it('scales even when nothing is clipped', () => {
    optim.scaleGradients(list, 8)
    close(optim.clipGradNorm(list, 100, { scale: 1 / 8 }), golden.tensor('clip_weak.norm'))
    expectGradients('clip_weak')
    optim.scaleGradients(list, 8)
    close(optim.clipGradNorm(list, undefined, { scale: 1 / 8 }), golden.tensor('clip_weak.norm'))
    expectGradients('clip_weak')
  })

  it('changes nothing without a limit and a scale', () => {
    optim.clipGradNorm(list, undefined)
    for (const [i, name] of NAMES.entries()) {
      expect(valuesOf(list[i]!.grad!)).toEqual(valuesOf(golden.tensor(`clip.${name}.grad`)))
    }
  })

  it('leaves only the norm behind', () => {
    const before = memoryStats().liveTensors
    const total = optim.clipGradNorm(list, 1)
    expect(memoryStats().liveTensors).toBe(before + 1)
    total.dispose()
  })

  it('is zero without gradients', () => {
    for (const parameter of list) parameter.grad = undefined
    expect(optim.clipGradNorm(list, 1).item()).toBe(0)
    expect(optim.clipGradNorm([], 1).item()).toBe(0)
  })

  it('skips parameters without a gradient', () => {
    list[1]!.grad = undefined
    const alone = optim.gradNorm([list[0]!]).item()
    expect(optim.clipGradNorm(list, 100).item()).toBe(alone)
    expect(list[1]!.grad).toBeUndefined()
  })

  it('shows a gradient that is not finite in the norm', () => {
    list[1]!.grad = full([5], Infinity)
    expect(optim.clipGradNorm(list, 1).item()).toBe(Infinity)
    list[1]!.grad = tensor([NaN, 1, 1, 1, 1], [5])
    expect(optim.clipGradNorm(list, 1).item()).toBeNaN()
  })
})

describe('scaleGradients', () => {
  it('takes a number or a scalar tensor', () => {
    list[0]!.grad = ones([4, 3])
    list[1]!.grad = ones([5])
    optim.scaleGradients(list, 3)
    optim.scaleGradients(list, full([], 0.5))
    expect(list.flatMap(({ grad }) => valuesOf(grad!))).toEqual(Array(17).fill(1.5))
  })
})
