/**
 * What the gradient of one sample costs, as LESS takes it, beside a training step of one sample; and its projection, apart.
 *
 *   npm run bench:gradients -- [--rounds 30] [--threads 2] [--lora 16] [--length 128] [--width 256] [--layers 4] [--dtype bfloat16] [--projection 8192]
 *
 * Both sides alternate in one process on the same samples, of a Llama with random weights; `--lora 0` trains all of it. The last line of the output is one
 * JSON object: median milliseconds of a step, of a gradient, of Adam's direction made of it and of a projection (for each of 32 that share the signs), and
 * the speed of a gradient as a share of that of a step.
 */
import { createMethod, Trainer } from '@adapt-ts/adapt'
import { buildInfo, expand, reshape, scope, setNumThreads, type Tensor } from '@adapt-ts/torch'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  rounds: { type: 'string', default: '30' },
  threads: { type: 'string', default: '2' },
  lora: { type: 'string', default: '16' },
  length: { type: 'string', default: '128' },
  width: { type: 'string', default: '256' },
  layers: { type: 'string', default: '4' },
  dtype: { type: 'string', default: 'float32' },
  projection: { type: 'string', default: '8192' },
})
const internal = (file: string) => import(new URL(`../../packages/adapt/dist/${file}`, import.meta.url).href)
const { CausalLM } = (await internal(
  'model/decoder/causal-lm.js',
)) as typeof import('../packages/adapt/dist/model/decoder/causal-lm.js')
const { initialiseModel } = (await internal(
  'model/decoder/initialise.js',
)) as typeof import('../packages/adapt/dist/model/decoder/initialise.js')
const { addLora, LORA_DEFAULTS } = (await internal(
  'model/index.js',
)) as typeof import('../packages/adapt/dist/model/index.js')
const { buildBatch } = (await internal(
  'batch/index.js',
)) as typeof import('../packages/adapt/dist/batch/index.js')
const { adamDirection, SampleGradients } = (await internal(
  'prepare/sample-gradients.js',
)) as typeof import('../packages/adapt/dist/prepare/sample-gradients.js')
const { SignProjection } = (await internal(
  'signal/sign-projection.js',
)) as typeof import('../packages/adapt/dist/signal/sign-projection.js')

setNumThreads(Number(args.threads))
const [width, length, rank] = [Number(args.width), Number(args.length), Number(args.lora)]
const VOCABULARY = 4096
using model = new CausalLM({
  vocabSize: VOCABULARY,
  hiddenSize: width,
  intermediateSize: Math.round(width * 2.75),
  numHiddenLayers: Number(args.layers),
  numAttentionHeads: 4,
  numKeyValueHeads: 4,
  headDim: width / 4,
  maxPositionEmbeddings: length,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
  initializerRange: 0.02,
})
initialiseModel(model, 1)
if (rank > 0) addLora(model, { ...LORA_DEFAULTS, r: rank }, 1)
const dataset = {
  sample: (index: number) => ({
    ...{ index, id: `${index}`, source: 'made', weight: 1, path: 'memory', line: index + 1 },
    tokens: Int32Array.from({ length }, (_, t) => (index * 31 + t * t * 7 + t) % VOCABULARY),
    labelMask: Uint8Array.from({ length }, (_, t) => (t > 0 ? 1 : 0)),
  }),
}
const one = (index: number) => buildBatch([[index]], dataset, { padId: 0, packing: false })
const precision = args.dtype === 'bfloat16' ? ({ autocastDtype: 'bfloat16' } as const) : {}
using trainer = new Trainer(model, createMethod('uniform'), [], {
  ...{ totalSteps: 1e6, learningRate: 1e-6, schedule: 'constant', maxGradNorm: 1 },
  ...precision,
})
using gradients = new SampleGradients(model, precision)
using projection = new SignProjection(Number(args.projection), 1)
const moments = scope((): Tensor => reshape(gradients.of(one(0)), [-1])).persist()
const sides = {
  step: (i: number) => trainer.runStep([one(i)]),
  gradient: (i: number) => scope(() => gradients.of(one(i))),
  adam: (i: number) =>
    scope(() => {
      adamDirection(gradients.of(one(i)), moments, moments, { beta1: 0.9, beta2: 0.999, epsMode: 'outside' })
      return undefined
    }),
}
type Side = keyof typeof sides
const times: Record<Side, number[]> = { step: [], gradient: [], adam: [] }
for (let round = -3; round < Number(args.rounds); round++) {
  for (const side of Object.keys(sides) as Side[]) {
    const start = performance.now()
    sides[side](round + 3)
    if (round >= 0) times[side].push(performance.now() - start)
  }
}
const SHARED = 32
const projectionMs = [0, 1, 2].map(() =>
  scope(() => {
    const rows = expand(reshape(moments, [1, -1]), [SHARED, moments.numel])
    const start = performance.now()
    projection.apply(rows).toFloat32Array()
    return (performance.now() - start) / SHARED
  }),
)
const median = (list: readonly number[]) => medianInterval([...list]).median
const ratio = (side: Side) => medianInterval(times[side].map((ms, i) => times.step[i]! / ms))
const shown = ratio('gradient')
const { libtorchVersion } = buildInfo()
console.log(
  `LibTorch ${libtorchVersion}, ${(model.numParameters / 1e6).toFixed(2)}M parameters of which ${(model.numTrainableParameters / 1e6).toFixed(3)}M trained, ${length} tokens, ${args.dtype}, ${args.threads} threads; ${args.rounds} rounds`,
)
console.log(
  JSON.stringify({
    step_ms: rounded(median(times.step), 2),
    gradient_ms: rounded(median(times.gradient), 2),
    adam_direction_ms: rounded(median(times.adam), 2),
    projection_ms: rounded(median(projectionMs), 2),
    gradient_speed_ratio: rounded(shown.median, 3),
    gradient_speed_ratio_interval: [rounded(shown.low, 3), rounded(shown.high, 3)],
    adam_speed_ratio: rounded(ratio('adam').median, 3),
  }),
)
moments.dispose()
