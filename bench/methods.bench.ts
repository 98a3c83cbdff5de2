/**
 * What each method costs: its steps against uniform steps, alternating in one process, each on its own order of the same data; and
 * its preparation.
 *
 *   npm run bench:methods -- [--rounds 30] [--steps 120] [--threads 2] [--methods id,id] [--config examples/quickstart.yaml] [--set KEY=VALUE ...]
 *
 * `--steps` is the length of the run that preparations and warm-ups take their share of. The last line of the output is one JSON object, a
 * field per method: the median ratio of paired step times with its interval, the ratio of their FLOPs (training and signal), the one by the
 * other, and seconds and FLOPs of the preparation, the latter as a share of what the whole run trains with.
 */
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  aloneWorld,
  buildTrainer,
  drawStep,
  loadConfig,
  METHOD_IDS,
  NO_ARTEFACT,
  openInputs,
  orderData,
  partsOf,
  planSteps,
  prepareRun,
  runTraining,
} from '@adapt-ts/adapt'
import { buildInfo, setNumThreads } from '@adapt-ts/torch'
import { benchFolder } from './peer-process.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  rounds: { type: 'string', default: '30' },
  steps: { type: 'string', default: '120' },
  threads: { type: 'string', default: '2' },
  methods: { type: 'string' },
  config: { type: 'string', default: join(benchFolder, '..', 'examples', 'quickstart.yaml') },
  set: { type: 'string', multiple: true, default: [] },
})
delete process.env.OPENBLAS_CORETYPE
const numRounds = Number(args.rounds)
/** Past the start of caches and of what a method does in its first step. */
const NUM_WARM_UP = 5
const folder = join(tmpdir(), `adapt-bench-methods-${process.pid}`)
const stop = { requested: false, throwIfRequested() {} }

async function open(method: string) {
  const { config, baseDir } = await loadConfig(args.config, {
    set: [
      `training.max_steps=${args.steps}`,
      'training.lr_scheduler_type=constant',
      ...args.set,
      `method=${method}`,
      `output_dir=${join(folder, method)}`,
      `data.cache_dir=${join(folder, 'cache')}`,
    ],
  })
  const { needs, candidates } = partsOf(config.method)
  const inputs = await openInputs(config, baseDir, {
    needsAnchors: needs.anchors === true,
    onLine: () => {},
  })
  const request = {
    config,
    baseDir,
    overwrite: true,
    onLine: (line: string) => console.log(`${method}: ${line}`),
    onStep: () => {},
  }
  const world = aloneWorld()
  const prepared = await prepareRun(request, inputs, {
    ...{ world, stop: stop as never, goesOn: '', device: config.training.device },
    train: (proxy) => runTraining({ ...proxy, stop: undefined as never }),
  })
  const data = orderData(config, inputs, prepared?.artefact ?? NO_ARTEFACT, prepared?.key)
  const plan = planSteps(config, (epoch) => data.rows.numRowsPerEpoch(epoch), candidates)
  const built = buildTrainer(config, baseDir, data, plan)
  const parts = { rows: data.rows, data, plan, world, built, request: { config } }
  return { method, prepared, built, parts, ratios: [] as number[], ms: 0, refreshMs: 0, start: { flops: 0 } }
}

type Side = Awaited<ReturnType<typeof open>>

function timeStep({ built, parts }: Side) {
  const start = performance.now()
  const { batches, epoch } = drawStep(parts)
  const { record } = built.trainer.runStep(batches, epoch)
  return { ms: performance.now() - start, flops: record.flopsTrain + record.flopsSignal }
}

setNumThreads(Number(args.threads))
const ids = (args.methods?.split(',') ?? METHOD_IDS).filter((id) => id !== 'uniform')
const uniform = await open('uniform')
const sides: Side[] = []
for (const id of ids) sides.push(await open(id))
const { libtorchVersion } = buildInfo()
const { numParameters } = uniform.built.trainer.model
console.log(
  `LibTorch ${libtorchVersion}, ${(numParameters / 1e6).toFixed(2)}M parameters, ${uniform.built.dtype ?? 'float32'}, ${args.threads} threads; ${numRounds} rounds`,
)
for (const side of [uniform, ...sides]) for (let i = 0; i < NUM_WARM_UP; i++) side.start = timeStep(side)

const ends = new Map<Side, number>()
for (let round = 0; round < numRounds; round++) {
  for (const side of sides) {
    // The order alternates, so that neither side always finds the caches warm.
    const early = round % 2 === 0 ? timeStep(uniform) : undefined
    const own = timeStep(side)
    const plain = early ?? timeStep(uniform)
    side.ratios.push(own.ms / plain.ms)
    side.ms += own.ms
    uniform.ms += plain.ms
    ends.set(side, own.flops)
    ends.set(uniform, plain.flops)
  }
  if ((round + 1) % 10 === 0) console.log(`round ${round + 1}/${numRounds}`)
  await new Promise(setImmediate)
}

const numUniform = numRounds * sides.length
const perUniform = (ends.get(uniform)! - uniform.start.flops) / numUniform
const rows = sides.map((side) => {
  const ratio = medianInterval(side.ratios)
  const flopsRatio = (ends.get(side)! - side.start.flops) / numRounds / perUniform
  const meanRatio = side.ms / numRounds / (uniform.ms / numUniform)
  const { seconds = 0, flops = 0 } = side.prepared ?? {}
  return {
    method: side.method,
    step_time_ratio: rounded(ratio.median, 3),
    step_time_ratio_interval: [rounded(ratio.low, 3), rounded(ratio.high, 3)],
    step_time_ratio_mean: rounded(meanRatio, 3),
    flops_ratio: rounded(flopsRatio, 3),
    time_by_flops: rounded(meanRatio / flopsRatio, 3),
    preparation_seconds: rounded(seconds, 1),
    preparation_flops_share: rounded(flops / (perUniform * Number(args.steps)), 3),
  }
})
console.table(rows.map(({ step_time_ratio_interval: [low, high], ...row }) => ({ ...row, low, high })))
for (const { built, parts } of [uniform, ...sides]) {
  built.trainer.dispose()
  built.trainer.model.dispose()
  parts.data.pool.close()
}
rmSync(folder, { recursive: true, force: true })
console.log(JSON.stringify(Object.fromEntries(rows.map(({ method, ...row }) => [method, row]))))
