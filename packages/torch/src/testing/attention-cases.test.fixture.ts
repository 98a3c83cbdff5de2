/** N positions of all sequences, T queries and U keys of one, H heads, K of keys, E head size. */
import {
  add,
  backward,
  bind,
  bmm,
  cat,
  expand,
  Generator,
  mul,
  narrow,
  normal_,
  reshape,
  scope,
  softmax,
  type Tensor,
  tensor,
  toDType,
  transpose,
  unsqueeze,
  zeros,
} from '../index.js'
import { relativeError, valuesOf } from './compare.test.fixture.js'

export const attention = bind('adapt::attention')

export interface AttentionCase {
  /** Queries and keys of each sequence. */
  readonly lengths: readonly (readonly [queries: number, keys: number])[]
  readonly numHeads: number
  readonly numKeyHeads: number
  readonly headDim: number
  /** 0 for all. */
  readonly window: number
  readonly dtype: 'float32' | 'bfloat16'
}

const causal = (lengths: readonly number[]) => lengths.map((length) => [length, length] as const)

export const ATTENTION_CASES: readonly AttentionCase[] = [
  { lengths: causal([1]), numHeads: 1, numKeyHeads: 1, headDim: 1, window: 0, dtype: 'float32' },
  { lengths: causal([5, 1, 64, 130]), numHeads: 4, numKeyHeads: 2, headDim: 20, window: 0, dtype: 'float32' },
  { lengths: causal([200, 63]), numHeads: 3, numKeyHeads: 3, headDim: 32, window: 70, dtype: 'float32' },
  { lengths: causal([33, 150]), numHeads: 6, numKeyHeads: 1, headDim: 64, window: 1, dtype: 'float32' },
  {
    lengths: [
      [3, 10],
      [70, 75],
      [1, 129],
    ],
    numHeads: 2,
    numKeyHeads: 1,
    headDim: 16,
    window: 0,
    dtype: 'float32',
  },
  {
    lengths: [
      [66, 140],
      [9, 9],
    ],
    numHeads: 2,
    numKeyHeads: 2,
    headDim: 8,
    window: 67,
    dtype: 'float32',
  },
  { lengths: causal([129]), numHeads: 2, numKeyHeads: 1, headDim: 130, window: 0, dtype: 'float32' },
  { lengths: causal([100, 30]), numHeads: 4, numKeyHeads: 2, headDim: 32, window: 0, dtype: 'bfloat16' },
  // Products of pairs: odd head sizes, and odd numbers of queries and of keys.
  { lengths: causal([1, 2, 65]), numHeads: 1, numKeyHeads: 1, headDim: 1, window: 0, dtype: 'bfloat16' },
  { lengths: causal([129, 63, 7]), numHeads: 4, numKeyHeads: 2, headDim: 21, window: 0, dtype: 'bfloat16' },
  { lengths: causal([201, 64]), numHeads: 2, numKeyHeads: 1, headDim: 16, window: 67, dtype: 'bfloat16' },
  { lengths: causal([150]), numHeads: 2, numKeyHeads: 2, headDim: 130, window: 1, dtype: 'bfloat16' },
  {
    lengths: [
      [66, 141],
      [9, 9],
      [3, 10],
    ],
    numHeads: 2,
    numKeyHeads: 2,
    headDim: 40,
    window: 0,
    dtype: 'bfloat16',
  },
]

export function startsOf(lengths: readonly number[]): Tensor {
  const starts = new Int32Array(lengths.length + 1)
  for (const [i, length] of lengths.entries()) starts[i + 1] = starts[i]! + length
  return tensor(starts, [starts.length], { dtype: 'int32' })
}

export interface AttentionInputs {
  readonly q_NHE: Tensor
  readonly k_NKE: Tensor
  readonly v_NKE: Tensor
  readonly gradient_NHE: Tensor
}

/** Random inputs, exactly those numbers in the case's dtype; belong to the current scope. */
export function drawInputs({
  lengths,
  numHeads,
  numKeyHeads,
  headDim,
  dtype,
}: AttentionCase): AttentionInputs {
  const generator = new Generator(11)
  const draw = (positions: number, heads: number) =>
    toDType(normal_(zeros([positions, heads, headDim]), 0, 1, generator), dtype)
  const [numQueries, numKeys] = [0, 1].map((side) => lengths.reduce((total, pair) => total + pair[side]!, 0))
  return {
    q_NHE: draw(numQueries!, numHeads),
    k_NKE: draw(numKeys!, numKeyHeads),
    v_NKE: draw(numKeys!, numKeyHeads),
    gradient_NHE: draw(numQueries!, numHeads),
  }
}

/** Output and gradients of q, k, v: by the kernel, or in float64 with every score at once. */
export function runAttention(which: 'kernel' | 'composed', attentionCase: AttentionCase): Tensor[] {
  const { lengths, window } = attentionCase
  const inputs = drawInputs(attentionCase)
  const dtype = which === 'kernel' ? attentionCase.dtype : 'float64'
  const leaf = (x: Tensor) => mul(toDType(x, dtype), 1).setRequiresGrad()
  const [q, k, v] = [leaf(inputs.q_NHE), leaf(inputs.k_NKE), leaf(inputs.v_NKE)]
  const starts = [0, 1].map((side) => startsOf(lengths.map((pair) => pair[side]!)))
  const output =
    which === 'kernel'
      ? (attention(q, k, v, starts[0]!, starts[1]!, window) as Tensor)
      : composed(q, k, v, attentionCase)
  backward([output], [toDType(inputs.gradient_NHE, dtype)])
  return [output, q.grad!, k.grad!, v.grad!]
}

function composed(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { lengths, numHeads, numKeyHeads, window }: AttentionCase,
): Tensor {
  const outputs: Tensor[] = []
  let [query, key] = [0, 0]
  for (const [T, U] of lengths) {
    const heads = (x: Tensor, start: number, count: number) => transpose(narrow(x, 0, start, count), 0, 1)
    const wide = (x: Tensor) => {
      const x_K1UE = unsqueeze(heads(x, key, U), 1)
      const shape = [numKeyHeads, numHeads / numKeyHeads, U, x.shape[2]!]
      return reshape(expand(x_K1UE, shape), [numHeads, U, x.shape[2]!])
    }
    const mask = Float64Array.from({ length: T * U }, (_, i) => {
      const [t, u] = [Math.floor(i / U) + U - T, i % U]
      return u <= t && (window === 0 || u > t - window) ? 0 : Number.NEGATIVE_INFINITY
    })
    const scores = add(
      bmm(heads(q, query, T), transpose(wide(k), 1, 2)),
      tensor(mask, [T, U], { dtype: 'float64' }),
    )
    outputs.push(transpose(bmm(softmax(scores, -1), wide(v)), 0, 1))
    query += T
    key += U
  }
  return cat(outputs, 0)
}

/** Relative distances of output and gradients from those in float64, the largest of each over the cases of a dtype. */
export function attentionErrors(dtype: AttentionCase['dtype']): number {
  const cases = ATTENTION_CASES.filter((attentionCase) => attentionCase.dtype === dtype)
  return Math.max(
    ...cases.flatMap((attentionCase) =>
      scope(() => {
        const expected = runAttention('composed', attentionCase)
        const sizes = expected.map((x) => Math.hypot(...valuesOf(x)))
        return runAttention('kernel', attentionCase).map((found, i) => {
          if (sizes[i]! > 1e-10) return relativeError(found, expected[i]!)
          // A gradient that is 0 throughout, as that of the scores of a single key, is a difference of products as large as that of v.
          return Math.hypot(...valuesOf(found)) / sizes[3]!
        })
      }),
    ),
  )
}
