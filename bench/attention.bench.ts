/**
 * What attention costs as texts get longer: ours against the operator of the same LibTorch, forward and backward, in turn in one process.
 *
 *   npm run bench:attention -- [--lengths 512,1024,2048,4096] [--dtypes float32,bfloat16] [--heads 8] [--key-heads 4]
 *     [--head-dim 64] [--rounds 7] [--threads 2]
 *
 * Each length once as one text, and once as a row packed with texts of an eighth of it, where PyTorch has a mask (2.0 and later:
 * `scaled_dot_product_attention`; before: products, mask and softmax). The last line of the output is one JSON object.
 */
/** N positions, H heads, K of keys, E head size. */
import {
  add,
  backward,
  bind,
  bmm,
  buildInfo,
  type DType,
  expand,
  full,
  Generator,
  hasOperator,
  normal_,
  reshape,
  scope,
  setNumThreads,
  softmax,
  type Tensor,
  tensor,
  toDType,
  transpose,
  triu,
  unsqueeze,
  zeros,
} from '@adapt-ts/torch'
import { readOptions } from './read-options.js'
import { type MedianInterval, medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  lengths: { type: 'string', default: '512,1024,2048,4096' },
  dtypes: { type: 'string', default: 'float32,bfloat16' },
  heads: { type: 'string', default: '8' },
  'key-heads': { type: 'string', default: '4' },
  'head-dim': { type: 'string', default: '64' },
  rounds: { type: 'string', default: '7' },
  threads: { type: 'string', default: '2' },
})
const [H, K, E] = [args.heads, args['key-heads'], args['head-dim']].map(Number) as [number, number, number]
const PARTS = 8
const own = bind('adapt::attention')
const fused = hasOperator('aten::scaled_dot_product_attention')
  ? bind('aten::scaled_dot_product_attention')
  : undefined

setNumThreads(Number(args.threads))

/** 0 where a position may look, -inf elsewhere: [N, N]. */
function packedMask(N: number, part: number): Tensor {
  const mask = new Float32Array(N * N).fill(Number.NEGATIVE_INFINITY)
  for (let t = 0; t < N; t++) mask.fill(0, t * N + t - (t % part), t * N + t + 1)
  return tensor(mask, [N, N])
}

/** As eager PyTorch computes it for one row of N positions. */
function asPyTorch(q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, mask: Tensor | undefined): Tensor {
  const N = q_NHE.shape[0]!
  const heads = (x: Tensor) => unsqueeze(transpose(x, 0, 1), 0)
  if (fused) {
    const options = { is_causal: mask === undefined, scale: 1, enable_gqa: true, attn_mask: mask ?? null }
    const attended = fused(heads(q_NHE), heads(k_NKE), heads(v_NKE), options) as Tensor
    return reshape(transpose(attended, 1, 2), [N, H, E])
  }
  const wide = (x: Tensor) => reshape(expand(unsqueeze(transpose(x, 0, 1), 1), [K, H / K, N, E]), [H, N, E])
  const causal = mask ?? toDType(triu(full([N, N], Number.NEGATIVE_INFINITY), 1), q_NHE.dtype)
  const scores = add(bmm(transpose(q_NHE, 0, 1), transpose(wide(k_NKE), 1, 2)), causal)
  return transpose(bmm(toDType(softmax(scores, -1), q_NHE.dtype), wide(v_NKE)), 0, 1)
}

function startsOf(N: number, part: number): Tensor {
  const starts = Int32Array.from({ length: N / part + 1 }, (_, i) => i * part)
  return tensor(starts, [starts.length], { dtype: 'int32' })
}

interface Measured {
  readonly ours: MedianInterval
  readonly peer: MedianInterval
  readonly ratio: MedianInterval
}

/** Milliseconds of a forward and backward of N positions in texts of `part`. */
function measure(N: number, part: number, dtype: DType): Measured {
  return scope(() => {
    const generator = new Generator(1)
    const draw = (heads: number) => toDType(normal_(zeros([N, heads, E]), 0, 0.3, generator), dtype)
    const [q, k, v] = [draw(H), draw(K), draw(K)].map((x) => x.setRequiresGrad()) as [Tensor, Tensor, Tensor]
    const gradient = draw(H)
    const starts = startsOf(N, part)
    const mask = part === N ? undefined : toDType(packedMask(N, part), dtype)
    const timed = (run: () => Tensor) => {
      for (const x of [q, k, v]) x.grad = undefined
      const began = performance.now()
      scope(() => backward([run()], [gradient]))
      return performance.now() - began
    }
    const sides = [() => own(q, k, v, starts, starts, 0) as Tensor, () => asPyTorch(q, k, v, mask)] as const
    sides.forEach(timed)
    const rounds = Array.from({ length: Number(args.rounds) }, () => sides.map(timed) as [number, number])
    return {
      ours: medianInterval(rounds.map(([ours]) => ours)),
      peer: medianInterval(rounds.map(([, peer]) => peer)),
      ratio: medianInterval(rounds.map(([ours, peer]) => peer / ours)),
    }
  })
}

/** Slope of log time over log pairs, by least squares: 1 is linear in what the mask leaves. */
function exponent(points: readonly (readonly [pairs: number, ms: number])[]): number {
  const logs = points.map(([pairs, ms]) => [Math.log(pairs), Math.log(ms)] as const)
  const mean = (side: 0 | 1) => logs.reduce((sum, point) => sum + point[side], 0) / logs.length
  const [x, y] = [mean(0), mean(1)]
  const covariance = logs.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return covariance / logs.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

const lengths = args.lengths.split(',').map(Number)
const { libtorchVersion, kernels } = buildInfo()
const peerName = fused ? 'scaled_dot_product_attention' : 'products, mask and softmax'
process.stderr.write(
  `LibTorch ${libtorchVersion}, ${args.threads} threads, ${H} heads of ${E}, ${K} of keys; ours with ${kernels}; the peer: ${peerName}\n`,
)
const result: Record<string, number> = {}
for (const dtype of args.dtypes.split(',') as DType[]) {
  for (const [kind, numParts] of [
    ['causal', 1],
    ['packed', PARTS],
  ] as const) {
    const points: { N: number; pairs: number; measured: Measured }[] = []
    for (const N of lengths) {
      const part = N / numParts
      const pairs = (numParts * part * (part + 1)) / 2
      const measured = measure(N, part, dtype)
      points.push({ N, pairs, measured })
      const of = ({ median, low, high }: MedianInterval) =>
        `${rounded(median, 2)} [${rounded(low, 2)}, ${rounded(high, 2)}]`
      process.stderr.write(
        `${dtype} ${kind} ${N}: ${of(measured.ours)} ms, ${rounded((measured.ours.median * 1e6) / pairs, 1)} ns a pair; the peer ${of(measured.peer)} ms; ratio ${of(measured.ratio)}\n`,
      )
    }
    const last = points.at(-1)!
    const key = `${kind}_${dtype}`
    result[`exponent_${key}`] = rounded(exponent(points.map((p) => [p.pairs, p.measured.ours.median])))
    result[`peer_exponent_${key}`] = rounded(exponent(points.map((p) => [p.pairs, p.measured.peer.median])))
    result[`speed_ratio_${key}_${last.N}`] = rounded(last.measured.ratio.median)
  }
}
process.stdout.write(`${JSON.stringify(result)}\n`)
