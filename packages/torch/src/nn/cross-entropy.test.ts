import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  backward,
  bind,
  buildInfo,
  type DType,
  expand,
  Generator,
  gather,
  logSoftmax,
  mul,
  narrow,
  nn,
  noGrad,
  normal_,
  openScope,
  type Scope,
  setNumThreads,
  softmax,
  sum,
  type Tensor,
  tensor,
  toDType,
  unsqueeze,
  zeros,
} from '../index.js'
import { runModule } from '../testing/child-process.test.fixture.js'
import { torchErrorOf, valuesOf } from '../testing/compare.test.fixture.js'

const crossEntropy = bind('adapt::cross_entropy_')

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
  [5, 33],
  [130, 1000],
] as const

const labelsOf = (C: number, V: number) =>
  tensor(
    Int32Array.from({ length: C }, (_, c) => (c * 13 + V - 1) % V),
    [C],
    { dtype: 'int64' },
  )

function drawLogits(C: number, V: number, dtype: DType): Tensor {
  return toDType(mul(normal_(zeros([C, V]), 0, 1, new Generator(C)), 4), dtype)
}

const mostApart = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)

/** Losses and gradients of all shapes against float64 out of LibTorch's operators. */
function crossEntropyErrors(dtype: DType): { readonly loss: number; readonly gradient: number } {
  const errors = SHAPES.map(([C, V]) => {
    const labels_C = labelsOf(C, V)
    const exact_CV = toDType(drawLogits(C, V, dtype), 'float64')
    const { loss_C, takeGradient } = nn.spendLogits(drawLogits(C, V, dtype), labels_C)
    const logProb_C1 = gather(logSoftmax(exact_CV, -1), 1, unsqueeze(labels_C, 1))
    const expected = valuesOf(softmax(exact_CV, -1))
    for (const [c, label] of valuesOf(labels_C).entries()) expected[c * V + label]! -= 1
    return [
      mostApart(
        valuesOf(loss_C),
        valuesOf(logProb_C1).map((x) => -x),
      ),
      mostApart(valuesOf(takeGradient()), expected),
    ] as const
  })
  return {
    loss: Math.max(...errors.map(([loss]) => loss)),
    gradient: Math.max(...errors.map(([, gradient]) => gradient)),
  }
}

describe('spendLogits', () => {
  it.each(['float32', 'bfloat16'] as const)('gives losses and gradients of float64: %s', (dtype) => {
    const { loss, gradient } = crossEntropyErrors(dtype)
    expect(loss).toBeLessThan(1e-5)
    expect(gradient).toBeLessThan(dtype === 'float32' ? 1e-6 : 2 ** -8)
  })

  it('gives them where there is no kernel, and takes no gradient that is not asked for', () => {
    const [C, V] = [5, 33]
    const labels_C = labelsOf(C, V)
    const kernel = nn.spendLogits(drawLogits(C, V, 'float32'), labels_C)
    const logits_CV = toDType(drawLogits(C, V, 'float32'), 'float64')
    const before = valuesOf(logits_CV)
    const composed = nn.spendLogits(logits_CV, labels_C)
    expect(mostApart(valuesOf(composed.loss_C), valuesOf(kernel.loss_C))).toBeLessThan(1e-5)
    expect(valuesOf(logits_CV)).toEqual(before)
    expect(mostApart(valuesOf(composed.takeGradient()), valuesOf(kernel.takeGradient()))).toBeLessThan(1e-6)
  })
})

describe('adapt::cross_entropy_', () => {
  it.each(['default', 'avx2'])('does so with the instructions of %s', (capability) => {
    const { stdout, stderr } = runModule(
      `const { bind, buildInfo, normal_, zeros, Generator, tensor, softmax } = torch
       const logits = normal_(zeros([3, 37]), 0, 3, new Generator(2))
       const p = softmax(logits, -1).toFloat32Array()
       const labels = [36, 0, 5]
       const losses = bind('adapt::cross_entropy_')(logits, tensor(Int32Array.from(labels), [3], { dtype: 'int64' }))
       const found = logits.toFloat32Array()
       const isClose = found.every((x, i) => Math.abs(x - p[i] + (labels[Math.floor(i / 37)] === i % 37 ? 1 : 0)) < 1e-6)
       const areLosses = losses.toFloat32Array().every((x, c) => Math.abs(x + Math.log(p[c * 37 + labels[c]])) < 1e-5)
       console.log(buildInfo().kernels, isClose, areLosses)`,
      { ATEN_CPU_CAPABILITY: capability },
    )
    const expected = capability === 'avx2' && buildInfo().kernels !== 'generic' ? 'avx2' : 'generic'
    expect([stdout.trim(), stderr]).toEqual([`${expected} true true`, ''])
  })

  it('does not depend on the number of threads', () => {
    const before = buildInfo().numThreads
    const run = () => {
      const logits_CV = drawLogits(130, 1000, 'float32')
      const losses = crossEntropy(logits_CV, labelsOf(130, 1000)) as Tensor
      return [...valuesOf(losses), ...valuesOf(logits_CV)]
    }
    setNumThreads(1)
    const alone = run()
    setNumThreads(3)
    expect(run()).toEqual(alone)
    setNumThreads(before)
  })

  it('reads rows that lie apart, and writes nothing beside them', () => {
    const wide = drawLogits(4, 12, 'float32')
    const dense = mul(narrow(wide, 1, 2, 9), 1)
    const beside = valuesOf(mul(narrow(wide, 1, 11, 1), 1))
    const losses = valuesOf(crossEntropy(narrow(wide, 1, 2, 9), labelsOf(4, 9)) as Tensor)
    expect(losses).toEqual(valuesOf(crossEntropy(dense, labelsOf(4, 9)) as Tensor))
    expect(valuesOf(mul(narrow(wide, 1, 2, 9), 1))).toEqual(valuesOf(dense))
    expect(valuesOf(mul(narrow(wide, 1, 11, 1), 1))).toEqual(beside)
  })

  it('survives logits beyond what exp can hold, and keeps what is not a number to its row', () => {
    const { NaN: nan, NEGATIVE_INFINITY: none } = Number
    const logits = tensor([1000, -1000, 999, -300, -301, -300, 1, nan, 2, 1, none, 1], [4, 3])
    const labels = tensor(Int32Array.from([2, 0, 0, 2]), [4], { dtype: 'int64' })
    const losses = valuesOf(crossEntropy(logits, labels) as Tensor)
    expect(losses[0]).toBeCloseTo(1.3132617, 5)
    expect(losses[1]).toBeCloseTo(Math.log(2 + Math.exp(-1)), 5)
    expect(losses[2]).toBeNaN()
    expect(losses[3]).toBeCloseTo(Math.log(2), 5)
    expect(valuesOf(logits).map(Number.isNaN)).toEqual(Array.from({ length: 12 }, (_, i) => i >= 6 && i < 9))
  })

  it('is seen by a node that kept the logits', () => {
    const logits = drawLogits(3, 5, 'float32')
    const product = mul(zeros([3, 5]).setRequiresGrad(), logits)
    crossEntropy(logits, labelsOf(3, 5))
    expect(torchErrorOf(() => backward([sum(product)])).message).toMatch(/modified by an inplace operation/)
  })

  it('refuses what it would misread', () => {
    const logits = () => zeros([3, 5])
    const ids = (...labels: number[]) => tensor(Int32Array.from(labels), [labels.length], { dtype: 'int64' })
    const messageOf = (x: Tensor, labels: Tensor) => torchErrorOf(() => crossEntropy(x, labels)).message
    expect(messageOf(logits(), ids(0, 5, 1))).toMatch(/outside the vocabulary/)
    expect(messageOf(logits(), ids(0, -1, 1))).toMatch(/outside the vocabulary/)
    expect(messageOf(logits(), ids(0, 1))).toMatch(/one int64 label a row/)
    expect(messageOf(logits(), toDType(ids(0, 1, 1), 'int32'))).toMatch(/one int64 label a row/)
    expect(messageOf(toDType(logits(), 'float64'), ids(0, 1, 1))).toMatch(/float32 or bfloat16/)
    expect(messageOf(expand(zeros([1, 5]), [3, 5]), ids(0, 1, 1))).toMatch(/more than one element/)
    const trained = logits().setRequiresGrad()
    expect(messageOf(mul(trained, 1), ids(0, 1, 1))).toMatch(/may not have a graph/)
    noGrad(() => crossEntropy(trained, ids(0, 1, 1)))
  })
})
