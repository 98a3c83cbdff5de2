/**
 * What ADAPT costs: its step against the uniform step, alternating step by step in one process on the same batches.
 *
 *   npm run bench:overhead -- [--pairs 200] [--threads 2] [--preset llama-10m]
 *
 * The last line of the output is one JSON object: the median ratio of paired step times over whole refresh
 * intervals, and the share of FLOPs that the anchors' own forwards take (which is not overhead but the method).
 */
import { parseArgs } from 'node:util'
import { LLAMA_PRESETS, type LlamaPreset, type MethodConfig } from '@adapt-ts/adapt'
import { buildInfo, setNumThreads } from '@adapt-ts/torch'
import { medianInterval, rounded } from './statistics.js'
import { type BenchShape, createRunner, randomTokens, toBatch, UNIFORM } from './step-runner.js'

const { values: args } = parseArgs({
  options: {
    pairs: { type: 'string', default: '200' },
    threads: { type: 'string', default: '2' },
    preset: { type: 'string', default: 'llama-1m' },
  },
})
delete process.env.OPENBLAS_CORETYPE
setNumThreads(Number(args.threads))

const refreshEvery = 50
const numAnchors = 50
const shape: BenchShape = { config: LLAMA_PRESETS[args.preset as LlamaPreset], rows: 16, length: 256 }
const ADAPT: MethodConfig = {
  preset: 'adapt-calibrated',
  signal: {
    kind: 'model-embedding',
    pooling: 'position_weighted',
    tokens: 'all',
    refresh_every: refreshEvery,
    center: true,
    centroid_ema: 1,
    score_eval: false,
  },
  gate: { kind: 'calibrated-sigmoid', ess: 0.95, edr: 0.5, update_every: 50, warmup_ratio: 0.00001 },
  apply: 'loss',
  normalizer: 'token.wmean',
}

const perBatch = shape.rows * (shape.length + 1)
const batchAt = (i: number) =>
  toBatch(randomTokens(perBatch, shape.config.vocabSize, i + 1), shape, i * shape.rows)
const anchorShape = { ...shape, rows: numAnchors / 5 }
const anchors = Array.from({ length: 5 }, (_, i) =>
  toBatch(
    randomTokens(anchorShape.rows * (shape.length + 1), shape.config.vocabSize, 10_000 + i),
    anchorShape,
  ),
)

const info = buildInfo()
const dtype = info.hasBf16 ? 'bfloat16' : 'float32'
console.log(
  `LibTorch ${info.libtorchVersion}, ${args.preset}, ${dtype}, ${args.threads} threads; ${numAnchors} anchors every ${refreshEvery} steps`,
)
const uniform = createRunner(shape, { dtype, method: UNIFORM })
const adapt = createRunner(shape, { dtype, method: ADAPT, anchors })

// Both sides must have trained: the weights do something, the losses fall.
const warmUp = 5
for (let i = 0; i < warmUp; i++) {
  uniform.runStep([batchAt(i)], 0)
  adapt.runStep([batchAt(i)], 0)
}
const numPairs = Number(args.pairs)
const ratios: number[] = []
const uniformMs: number[] = []
const refreshMs: number[] = []
let essSum = 0
for (let i = 0; i < numPairs; i++) {
  const batch = batchAt(warmUp + i)
  const time = (runner: typeof uniform) => {
    const start = performance.now()
    const { record, events } = runner.runStep([batch], 0)
    return { ms: performance.now() - start, record, events }
  }
  const order = i % 2 === 0 ? ([uniform, adapt] as const) : ([adapt, uniform] as const)
  const results = order.map(time)
  const [plain, curated] = i % 2 === 0 ? [results[0]!, results[1]!] : [results[1]!, results[0]!]
  const refresh = curated.events.refresh?.ms ?? 0
  if (refresh > 0) refreshMs.push(refresh)
  ratios.push((curated.ms - refresh) / plain.ms)
  uniformMs.push(plain.ms)
  essSum += curated.record.essRatio
  if ((i + 1) % 50 === 0)
    console.log(`pair ${i + 1}/${numPairs}: median ratio ${medianInterval(ratios).median.toFixed(4)}`)
}
const essMean = essSum / numPairs
if (!(essMean > 0.5 && essMean < 0.9999)) {
  console.error(`bench:overhead: the weights did not spread as calibrated (mean ESS ratio ${essMean})`)
  process.exitCode = 1
}
const last = adapt.runStep([batchAt(warmUp + numPairs)], 0).record
const share = last.flopsSignal / last.flopsTrain
const ratio = medianInterval(ratios)
const refreshShare = refreshMs.reduce((a, b) => a + b, 0) / uniformMs.reduce((a, b) => a + b, 0)
console.log(
  `step time ratio without refreshes ${ratio.median.toFixed(4)} [${ratio.low.toFixed(4)}, ${ratio.high.toFixed(4)}] over ${numPairs} pairs, mean ESS ratio ${essMean.toFixed(3)}`,
)
console.log(
  `refreshes: ${(100 * refreshShare).toFixed(2)} % of the uniform time, ${(100 * share).toFixed(2)} % of its FLOPs`,
)
console.log(
  JSON.stringify({
    step_time_ratio: rounded(ratio.median + refreshShare, 4),
    step_time_ratio_interval: [rounded(ratio.low + refreshShare, 4), rounded(ratio.high + refreshShare, 4)],
    anchor_flops_share: rounded(share, 4),
  }),
)
