import {
  backward,
  bind,
  Generator,
  linear,
  mul,
  nn,
  noGrad,
  normal_,
  scope,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@adapt-ts/torch'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { chunkedCrossEntropy, chunkedTokenLosses } from './chunked-cross-entropy.js'

const crossEntropy = bind('aten::cross_entropy_loss')
const NO_REDUCTION = 0
const N = 13
const D = 6
const V = 19

const random = (seed: number, shape: number[]) =>
  scope(() => normal_(zeros(shape), 0, 1, new Generator(seed))).persist()
const hidden_ND = random(1, [N, D])
const labels = Int32Array.from({ length: N }, (_, n) => (n * 7) % V)
const weights = Float32Array.from({ length: N }, (_, n) => (n === 4 ? 0 : 0.1 + n / N))
const head = new nn.Parameter(random(2, [V, D]))
afterAll(() => head.dispose())
beforeEach(() => {
  head.grad = undefined
})

const labels_N = () => tensor(labels, [N], { dtype: 'int64' })

/** The same by autograd through the whole matrix of logits. */
const expected = scope(() => {
  const leaf_ND = noGrad(() => mul(hidden_ND, 1)).setRequiresGrad()
  const loss_N = crossEntropy(linear(leaf_ND, head), labels_N(), null, NO_REDUCTION) as Tensor
  backward([sum(mul(loss_N, tensor(weights, [N])))])
  const result = {
    loss: loss_N.toFloat32Array(),
    hidden: leaf_ND.grad!.toFloat32Array(),
    head: head.grad!.toFloat32Array(),
  }
  leaf_ND.grad = undefined
  return result
})

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.sqrt(Array.from(b, (v, i) => (v - a[i]!) ** 2).reduce((x, y) => x + y)) / Math.hypot(...Array.from(b))

function run(options: Parameters<typeof chunkedCrossEntropy>[4] = {}, weight = weights) {
  return scope(() => {
    const { loss_N, gradient_ND } = chunkedCrossEntropy(
      hidden_ND,
      head,
      labels_N(),
      tensor(weight, [N]),
      options,
    )
    return {
      loss: loss_N.toFloat32Array(),
      hidden: gradient_ND.toFloat32Array(),
      head: head.grad?.toFloat32Array(),
    }
  })
}

describe('chunkedCrossEntropy', () => {
  it.each([1, 4, 13, 512])('equals autograd through cross_entropy_loss in chunks of %d', (chunkSize) => {
    const found = run({ chunkSize })
    expect(distance(found.loss, expected.loss)).toBeLessThan(1e-6)
    expect(distance(found.hidden, expected.hidden)).toBeLessThan(1e-6)
    expect(distance(found.head!, expected.head)).toBeLessThan(1e-6)
  })

  it('adds to the gradient of the head', () => {
    run()
    expect(
      distance(
        run().head!,
        expected.head.map((value) => 2 * value),
      ),
    ).toBeLessThan(1e-6)
  })

  it('leaves a frozen head without gradient', () => {
    head.setRequiresGrad(false)
    const found = run()
    head.setRequiresGrad(true)
    expect(found.head).toBeUndefined()
    expect(distance(found.hidden, expected.hidden)).toBeLessThan(1e-6)
  })

  it('gives a position of weight 0 its loss and no gradient', () => {
    const found = run()
    expect(found.loss[4]).toBeGreaterThan(0)
    expect([...found.hidden.subarray(4 * D, 5 * D)].every((value) => value === 0)).toBe(true)
  })

  it('is linear in the weights', () => {
    const found = run(
      {},
      weights.map((weight) => 7 * weight),
    )
    expect(distance(found.loss, expected.loss)).toBeLessThan(1e-6)
    expect(
      distance(
        found.hidden,
        expected.hidden.map((value) => 7 * value),
      ),
    ).toBeLessThan(1e-6)
    expect(
      distance(
        found.head!,
        expected.head.map((value) => 7 * value),
      ),
    ).toBeLessThan(1e-6)
  })

  it('stays close in bfloat16, with float32 results', () => {
    scope(() => {
      const found = chunkedCrossEntropy(hidden_ND, head, labels_N(), tensor(weights, [N]), {
        computeDtype: 'bfloat16',
      })
      expect([found.loss_N.dtype, found.gradient_ND.dtype, head.grad!.dtype]).toEqual([
        'float32',
        'float32',
        'float32',
      ])
      expect(distance(found.loss_N.toFloat32Array(), expected.loss)).toBeLessThan(2e-2)
      expect(distance(found.gradient_ND.toFloat32Array(), expected.hidden)).toBeLessThan(2e-2)
      expect(distance(head.grad!.toFloat32Array(), expected.head)).toBeLessThan(2e-2)
    })
  })

  it('survives logits far beyond what exp can hold', () => {
    scope(() => {
      const far_ND = mul(hidden_ND, 1000)
      const { loss_N, gradient_ND } = chunkedCrossEntropy(far_ND, head, labels_N(), tensor(weights, [N]))
      expect(loss_N.toFloat32Array().every(Number.isFinite)).toBe(true)
      expect(gradient_ND.toFloat32Array().every(Number.isFinite)).toBe(true)
    })
  })
})

describe('chunkedTokenLosses', () => {
  it.each([1, 5, 512])('gives the same losses and no gradient in chunks of %d', (chunkSize) => {
    const losses = scope(() =>
      chunkedTokenLosses(hidden_ND, head, labels_N(), { chunkSize }).toFloat32Array(),
    )
    expect(distance(losses, expected.loss)).toBeLessThan(1e-6)
    expect(head.grad).toBeUndefined()
  })
})
