import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  backward,
  buildInfo,
  copy_,
  fill_,
  indexSelect,
  mul,
  narrow,
  openScope,
  reshape,
  type Scope,
  setNumThreads,
  type Tensor,
  tensor,
  toDType,
} from './index.js'
import {
  ATTENTION_CASES,
  attention,
  attentionErrors,
  drawInputs,
  runAttention,
  startsOf,
} from './testing/attention-cases.test.fixture.js'
import { runModule } from './testing/child-process.test.fixture.js'
import { torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const MIXED = ATTENTION_CASES[1]!

describe('adapt::attention', () => {
  it('is softmax(q k^T) v with its gradients: float64 autograd to 3e-6, in bfloat16 to 1e-2', () => {
    expect(attentionErrors('float32')).toBeLessThan(3e-6)
    expect(attentionErrors('bfloat16')).toBeLessThan(1e-2)
  })

  /** From the least to the most; `ATEN_CPU_CAPABILITY` names all but the last. */
  const KERNELS = ['generic', 'avx2', 'avx512', 'avx512bf16']

  it.each([
    ['default', 'generic'],
    ['avx2', 'avx2'],
    ['avx512', 'avx512'],
  ])('is the same with the instructions of %s', (capability, kernels) => {
    const cases = new URL('./testing/attention-cases.test.fixture.js', import.meta.url).href
    const { stdout, stderr } = runModule(
      `const { attentionErrors } = await import(${JSON.stringify(cases)})
       console.log(torch.buildInfo().kernels, attentionErrors('float32') < 3e-6, attentionErrors('bfloat16') < 1e-2)`,
      { ATEN_CPU_CAPABILITY: capability },
    )
    const [asked, best] = [kernels, buildInfo().kernels].map((name) => KERNELS.indexOf(name))
    expect([stdout.trim(), stderr]).toEqual([`${KERNELS[Math.min(asked!, best!)]} true true`, ''])
  })

  it('does not depend on the number of threads, nor on what stands beside a sequence', () => {
    const bits = (tensors: readonly Tensor[]) => tensors.map((x) => x.toFloat32Array())
    const before = buildInfo().numThreads
    setNumThreads(1)
    const alone = bits(runAttention('kernel', MIXED))
    setNumThreads(3)
    expect(bits(runAttention('kernel', MIXED))).toEqual(alone)
    setNumThreads(before)
    const { q_NHE, k_NKE, v_NKE } = drawInputs(MIXED)
    const last = startsOf([130])
    const [start, length] = [70, 130]
    const part = attention(
      ...([q_NHE, k_NKE, v_NKE].map((x) => narrow(x, 0, start, length)) as [Tensor, Tensor, Tensor]),
      last,
      last,
      0,
    ) as Tensor
    expect(part.toFloat32Array()).toEqual(
      narrow(runAttention('kernel', MIXED)[0]!, 0, start, length).toFloat32Array(),
    )
  })

  it('reads views of one product, and writes gradients through them', () => {
    const { q_NHE, k_NKE, v_NKE, gradient_NHE } = drawInputs(MIXED)
    const [N, H, E] = q_NHE.shape as [number, number, number]
    const K = k_NKE.shape[1]!
    const flat = (x: Tensor) => reshape(x, [N, -1])
    const together = tensor(new Float32Array(N * (H + 2 * K) * E), [N, (H + 2 * K) * E])
    const place = (start: number, heads: number) =>
      reshape(narrow(together, 1, start * E, heads * E), [N, heads, E])
    const copy = (x: Tensor, start: number) => narrow(together, 1, start * E, x.shape[1]! * E)
    for (const [x, start] of [
      [q_NHE, 0],
      [k_NKE, H],
      [v_NKE, H + K],
    ] as const)
      copy_(copy(x, start), flat(x))
    together.setRequiresGrad()
    const starts = startsOf(MIXED.lengths.map(([length]) => length))
    const output = attention(place(0, H), place(H, K), place(H + K, K), starts, starts, 0) as Tensor
    backward([output], [gradient_NHE])
    const expected = runAttention('kernel', MIXED)
    expect(output.toFloat32Array()).toEqual(expected[0]!.toFloat32Array())
    for (const [i, start, heads] of [
      [1, 0, H],
      [2, H, K],
      [3, H + K, K],
    ] as const) {
      const found = narrow(together.grad!, 1, start * E, heads * E)
      expect(valuesOf(found)).toEqual(valuesOf(flat(expected[i]!)))
    }
  })

  it.each([0, 7])('takes keys at places, window %i: as if each sequence had its own copy', (window) => {
    const { q_NHE, k_NKE, v_NKE } = drawInputs(MIXED)
    const lengths = [
      [3, 70],
      [1, 1],
      [40, 90],
    ] as const
    const places_U = Int32Array.from({ length: 161 }, (_, u) => (u * 37) % 200)
    const starts = [0, 1].map((side) => startsOf(lengths.map((pair) => pair[side]!))) as [Tensor, Tensor]
    const places = tensor(places_U, [161])
    const copied = [k_NKE, v_NKE].map((x) => indexSelect(x, 0, toDType(places, 'int64'))) as [Tensor, Tensor]
    const q = narrow(q_NHE, 0, 0, 44)
    const expected = attention(q, ...copied, ...starts, window) as Tensor
    const found = attention(q, k_NKE, v_NKE, ...starts, window, places) as Tensor
    expect(found.toFloat32Array()).toEqual(expected.toFloat32Array())
  })

  const many = (count: number, text: readonly [number, number]) => Array.from({ length: count }, () => text)

  /** Texts of a tree: new tokens of each, and how many tokens it has in common with the one before. */
  const TREES: Record<string, readonly (readonly [count: number, kept: number])[]> = {
    // 64 keys are shared by all but the first, 192 by the last twelve, which have more than 512 queries.
    nested: [[300, 0], ...many(9, [2, 64]), [132, 64], ...many(12, [60, 192])],
    ragged: [
      [300, 0],
      [90, 200],
      [3, 280],
      [70, 283],
      [1, 64],
      [600, 64],
      [5, 200],
      [5, 200],
      [20, 0],
      [2, 19],
    ],
  }

  it.each([
    ['nested', 'float32', 0, 1],
    ['nested', 'bfloat16', 0, 1],
    ['ragged', 'bfloat16', 100, 2],
    ['ragged', 'float32', 0, 2],
    ['ragged', 'float32', 100, 2],
  ] as const)('reads keys that texts begin with once, to the bit as alone: %s, %s, window %i', (tree, dtype, window, numGroups) => {
    const texts = TREES[tree]!
    const path: number[] = []
    const ways: number[][] = []
    let numPositions = 0
    for (const [count, kept] of texts) {
      path.length = kept
      for (let n = 0; n < count; n++) path.push(numPositions++)
      ways.push([...path])
    }
    const [numHeads, numKeyHeads, headDim] = [2 * numGroups, 2, 20]
    const lengths = [[numPositions, numPositions]] as const
    const inputs = drawInputs({ lengths, numHeads, numKeyHeads, headDim, window, dtype })
    const { q_NHE, k_NKE, v_NKE } = inputs
    const starts = [texts.map(([count]) => count), ways.map((way) => way.length)].map(startsOf) as [
      Tensor,
      Tensor,
    ]
    const places = tensor(Int32Array.from(ways.flat()), [ways.flat().length])
    const found = valuesOf(attention(q_NHE, k_NKE, v_NKE, ...starts, window, places) as Tensor)
    const copied = [k_NKE, v_NKE].map((x) => indexSelect(x, 0, toDType(places, 'int64'))) as [Tensor, Tensor]
    expect(found).toEqual(valuesOf(attention(q_NHE, ...copied, ...starts, window) as Tensor))
  })

  it('lets NaN through to the queries that see it, and to no other', () => {
    const { q_NHE, k_NKE, v_NKE } = drawInputs(MIXED)
    const starts = startsOf(MIXED.lengths.map(([length]) => length))
    // Position 4 of the sequence that begins at 6, head of keys 1: queries of heads 2 and 3.
    fill_(narrow(narrow(k_NKE, 0, 10, 1), 1, 1, 1), Number.NaN)
    const output = attention(q_NHE, k_NKE, v_NKE, starts, starts, 0) as Tensor
    const [N, H, E] = output.shape as [number, number, number]
    const values = output.toFloat32Array()
    const isNan = Array.from({ length: N }, (_, n) =>
      Array.from({ length: H }, (_, h) =>
        values.subarray((n * H + h) * E, (n * H + h + 1) * E).every(Number.isNaN),
      ),
    )
    expect(isNan).toEqual(
      Array.from({ length: N }, (_, n) => Array.from({ length: H }, (_, h) => h >= 2 && n >= 10 && n < 70)),
    )
  })

  it('refuses what it would misread', () => {
    const { q_NHE, k_NKE, v_NKE } = drawInputs(MIXED)
    const starts = startsOf(MIXED.lengths.map(([length]) => length))
    const messageOf = (...args: Parameters<typeof attention>) =>
      torchErrorOf(() => attention(...args)).message
    expect(messageOf(q_NHE, k_NKE, v_NKE, startsOf([201]), startsOf([201]), 0)).toMatch(/starts must ascend/)
    expect(messageOf(q_NHE, k_NKE, toDType(v_NKE, 'bfloat16'), starts, starts, 0)).toMatch(
      /expected one dtype/,
    )
    expect(messageOf(q_NHE, k_NKE, narrow(v_NKE, 1, 0, 1), starts, starts, 0)).toMatch(/differ in shape/)
    expect(messageOf(narrow(q_NHE, 1, 0, 3), k_NKE, v_NKE, starts, starts, 0)).toMatch(/multiple/)
    const places = (last: number) =>
      tensor(
        Int32Array.from({ length: 200 }, (_, n) => n % last),
        [200],
      )
    expect(
      messageOf(q_NHE, narrow(k_NKE, 0, 0, 90), narrow(v_NKE, 0, 0, 90), starts, starts, 0, places(91)),
    ).toMatch(/a place is outside the keys/)
    const trained = mul(k_NKE, 1).setRequiresGrad()
    expect(messageOf(q_NHE, trained, v_NKE, starts, starts, 0, places(9))).toMatch(/have no gradient/)
  })
})
