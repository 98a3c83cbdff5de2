import { describe, expect, it } from 'vitest'
import {
  backward,
  Generator,
  linear,
  memoryStats,
  mul,
  nn,
  normal_,
  recomputeInBackward,
  scope,
  type Tensor,
  toDType,
  zeros,
} from './index.js'
import { torchErrorOf } from './testing/compare.test.fixture.js'

const [N, D] = [64, 96] as const
type Kind = 'rms_norm' | 'swiglu' | 'product'
type Compute = 'float32' | 'bfloat16'

interface Passed {
  /** Of both inputs and both weights, one after another. */
  readonly gradients: Float32Array
  /** Bytes that the graph holds after the forward. */
  readonly held: number
}

const drawn = (generator: Generator, shape: number[]) =>
  normal_(zeros(shape), 0, 1, generator).setRequiresGrad()

/** Two linear layers that read what `kind` makes of two tensors, and their gradients. */
function pass(
  kind: Kind,
  dtype: Compute,
  {
    recomputes,
    readers = 2,
    times = 1,
  }: { readonly recomputes: boolean; readonly readers?: 1 | 2; readonly times?: number },
): Passed {
  return scope(() => {
    const generator = new Generator(1)
    const [a, b] = [drawn(generator, [N, D]), drawn(generator, [N, D])]
    const weights = [drawn(generator, [8, D]), drawn(generator, [8, D])]
    const norm = new nn.RMSNorm(D)
    const before = memoryStats().allocatedBytes
    const outputs = scope(() => {
      const [x, y] = [a, b].map((input) => toDType(input, dtype)) as [Tensor, Tensor]
      const made = {
        rms_norm: () => norm.forward(a, dtype),
        swiglu: () => nn.swiglu(x, y),
        product: () => mul(x, y),
      }
      const read = made[kind]()
      const all = weights.map((weight) => linear(read, toDType(weight, dtype)))
      if (recomputes) recomputeInBackward(read, all)
      return all
    })
    const held = memoryStats().allocatedBytes - before
    for (let time = 1; time <= times; time++)
      backward(outputs.slice(0, readers), ones(outputs.slice(0, readers)), { retainGraph: time < times })
    const leaves = [a, b, norm.weight, ...weights]
    const gradients = leaves.flatMap((leaf) => Array.from(leaf.grad?.toFloat32Array() ?? []))
    for (const leaf of leaves) leaf.grad = undefined
    norm.dispose()
    return { gradients: Float32Array.from(gradients), held }
  })
}

const ones = (outputs: readonly Tensor[]) =>
  outputs.map((output) => toDType(normal_(zeros(output.shape), 1, 0.1, new Generator(2)), output.dtype))

describe.each(['rms_norm', 'swiglu'] as const)('a result of %s that is made again in backward', (kind) => {
  it.each(['float32', 'bfloat16'] as const)('is not held, and gives the same gradients in %s', (dtype) => {
    const kept = pass(kind, dtype, { recomputes: false })
    const again = pass(kind, dtype, { recomputes: true })
    expect(kept.held - again.held).toBe(N * D * (dtype === 'float32' ? 4 : 2))
    expect(again.gradients).toEqual(kept.gradients)
    expect(kept.gradients.some((gradient) => gradient !== 0)).toBe(true)
  })

  it('is there for the one reader that gets a gradient', () => {
    const [kept, again] = [false, true].map((recomputes) => pass(kind, 'float32', { recomputes, readers: 1 }))
    expect(again!.gradients).toEqual(kept!.gradients)
  })

  it('is there for a second backward of a graph that is kept', () => {
    const [kept, again] = [false, true].map((recomputes) => pass(kind, 'float32', { recomputes, times: 2 }))
    expect(again!.gradients).toEqual(kept!.gradients)
  })
})

describe('recomputeInBackward', () => {
  it('leaves what no kernel can make again as long as backward needs it', () => {
    const [kept, again] = [false, true].map((recomputes) => pass('product', 'float32', { recomputes }))
    expect(again!.gradients).toEqual(kept!.gradients)
    expect(again!.held).toBe(kept!.held)
  })

  it('frees the handle, with a graph and without', () => {
    scope(() => {
      for (const gate of [zeros([4]).setRequiresGrad(), zeros([4])]) {
        const gated = nn.swiglu(gate, gate)
        recomputeInBackward(gated, [mul(gated, gated)])
        expect(torchErrorOf(() => gated.toFloat32Array()).code).toBe('TENSOR_DISPOSED')
      }
    })
  })

  it('frees all with the graph where no backward comes', () => {
    scope(() => {
      const gate = zeros([N, D]).setRequiresGrad()
      const before = memoryStats().allocatedBytes
      scope(() => {
        const gated = nn.swiglu(gate, gate)
        const output = mul(gated, gated)
        recomputeInBackward(gated, [output])
        output.toFloat32Array()
      })
      expect(memoryStats().allocatedBytes).toBe(before)
    })
  })
})
