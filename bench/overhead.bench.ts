/**
 * What ADAPT costs: its step against the uniform step, alternating step by step in one process on the same batches
 * of the example corpus, from the example base model.
 *
 *   npm run bench:overhead -- [--pairs 200] [--threads 2] [--config examples/quickstart.yaml] [--set KEY=VALUE ...]
 *     [--ess 0.85,0.99]
 *
 * The last line of the output is one JSON object: the median ratio of paired step times, with the time of the anchor
 * refreshes spread over all steps; the share of a step that signal and gate take, by a clock within it; the share of FLOPs
 * that the anchors' own forwards take; and what the records of a run (event log and ledger) add to the time of its steps.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Batch,
  buildBatch,
  buildTrainer,
  EventWriter,
  LedgerWriter,
  loadConfig,
  NO_ARTEFACT,
  openInputs,
  orderData,
  planSteps,
  type Trainer,
} from '@adapt-ts/adapt'
import { buildInfo, setNumThreads, synchronize } from '@adapt-ts/torch'
import { benchFolder } from './peer-process.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  pairs: { type: 'string', default: '200' },
  threads: { type: 'string', default: '2' },
  config: { type: 'string', default: join(benchFolder, '..', 'examples', 'quickstart.yaml') },
  set: { type: 'string', multiple: true, default: [] },
  ess: { type: 'string', default: '0.85,0.99' },
})
delete process.env.OPENBLAS_CORETYPE
const numPairs = Number(args.pairs)
/** Past the gate's own warm-up, in which every weight is 1. */
const numWarmUp = 20

const load = (method: string) =>
  loadConfig(args.config, {
    set: [
      ...args.set,
      `method=${method}`,
      `training.max_steps=${numPairs + numWarmUp}`,
      'training.lr_scheduler_type=constant',
    ],
  })
const adaptConfig = await load('adapt-calibrated')
const uniformConfig = await load('uniform')
const inputs = await openInputs(adaptConfig.config, adaptConfig.baseDir, {
  needsAnchors: true,
  onLine: console.log,
})
const data = orderData(adaptConfig.config, inputs, NO_ARTEFACT)
const plan = {
  ...planSteps(adaptConfig.config, () => data.rows.numRowsPerEpoch(0)),
  totalSteps: 10 * numWarmUp,
}
setNumThreads(Number(args.threads))
const uniform = buildTrainer(uniformConfig.config, uniformConfig.baseDir, data, plan)
const adapt = buildTrainer(adaptConfig.config, adaptConfig.baseDir, data, plan)
const info = buildInfo()
console.log(
  `LibTorch ${info.libtorchVersion}, ${(uniform.trainer.model.numParameters / 1e6).toFixed(2)}M parameters, ${uniform.dtype ?? 'float32'} on ${uniform.trainer.model.device}, ${args.threads} threads; ${data.anchorDocuments.length} anchors`,
)

function nextBatch(): Batch {
  const { rows } = data.rows.next(plan.globalRows)
  return buildBatch(rows, data.train, {
    padId: data.padId,
    packing: true,
    maxLength: adaptConfig.config.data.max_length,
  })
}

function timeStep(trainer: Trainer, batch: Batch) {
  const start = performance.now()
  const { record, events } = trainer.runStep([batch], 0)
  synchronize(trainer.model.device)
  const ms = performance.now() - start
  const refreshMs = events.method
    .filter(({ kind }) => kind === 'refresh')
    .reduce((sum, { fields }) => sum + Number(fields.refreshMs), 0)
  return { ms: ms - refreshMs, refreshMs, record, samples: events.totals.samples }
}

const recordFolder = mkdtempSync(join(tmpdir(), 'adapt-bench-'))
const eventLog = new EventWriter(join(recordFolder, 'events.jsonl'))
const ledger = new LedgerWriter(join(recordFolder, 'ledger'))

/** Milliseconds that recording takes, as a run does it. */
function timeRecord(action: () => void): number {
  const start = performance.now()
  action()
  return performance.now() - start
}

let before = { flopsSignal: 0, flopsTrain: 0 }
for (let i = 0; i < numWarmUp; i++) {
  const batch = nextBatch()
  timeStep(uniform.trainer, batch)
  before = timeStep(adapt.trainer, batch).record
}
const ratios: number[] = []
let uniformMs = 0
let refreshMs = 0
let essSum = 0
let adaptMs = 0
let recordMs = 0
let signalMs = 0
let timed = before
for (let i = 0; i < numPairs; i++) {
  const batch = nextBatch()
  // The order alternates, so that neither side always finds the caches warm.
  const early = i % 2 === 0 ? timeStep(uniform.trainer, batch) : undefined
  const curated = timeStep(adapt.trainer, batch)
  const plain = early ?? timeStep(uniform.trainer, batch)
  ratios.push(curated.ms / plain.ms)
  uniformMs += plain.ms
  refreshMs += curated.refreshMs
  adaptMs += curated.ms + curated.refreshMs
  signalMs += curated.record.signalMs - curated.refreshMs
  recordMs += timeRecord(() => {
    eventLog.append(curated.record)
    ledger.append(curated.record.step, curated.samples)
  })
  essSum += curated.record.essRatio
  timed = curated.record
  if ((i + 1) % 50 === 0)
    console.log(`pair ${i + 1}/${numPairs}: median ratio ${medianInterval(ratios).median.toFixed(4)}`)
  await new Promise(setImmediate)
}
// As at a checkpoint. A run has one every 500 steps by default, so its share is smaller than after fewer steps here.
recordMs += timeRecord(() => {
  ledger.flush()
  eventLog.sync()
})
ledger.close()
eventLog.close()
rmSync(recordFolder, { recursive: true })
const last = timeStep(adapt.trainer, nextBatch()).record
data.train.close()

const essMean = essSum / numPairs
const share = last.flopsSignal / last.flopsTrain
const ratio = medianInterval(ratios)
const refreshShare = refreshMs / uniformMs
/** Taken within the steps themselves, and so steadier than a ratio of two. */
const signalShare = signalMs / (adaptMs - refreshMs)
/** Of the steps whose time was taken: the first refresh falls into the warm-up. */
const refreshFlops = (timed.flopsSignal - before.flopsSignal) / (timed.flopsTrain - before.flopsTrain)
console.log(
  `step time ratio without refreshes ${ratio.median.toFixed(4)} [${ratio.low.toFixed(4)}, ${ratio.high.toFixed(4)}] over ${numPairs} pairs`,
)
console.log(
  `refreshes take ${(100 * refreshShare).toFixed(2)} % of the uniform time and ${(100 * refreshFlops).toFixed(2)} % of its FLOPs; mean ESS ratio ${essMean.toFixed(3)}`,
)
console.log(
  `signal and gate take ${(100 * signalShare).toFixed(2)} % of the time of the ADAPT steps, by a clock within them`,
)
console.log(
  `recording takes ${((100 * recordMs) / adaptMs).toFixed(3)} % of the time of the ADAPT steps (${(recordMs / numPairs).toFixed(3)} ms a step)`,
)
const [leastEss, mostEss] = args.ess.split(',').map(Number) as [number, number]
if (essMean > leastEss && essMean < mostEss) {
  const withRefreshes = (value: number) => rounded(value + refreshShare, 4)
  console.log(
    JSON.stringify({
      step_time_ratio: withRefreshes(ratio.median),
      step_time_ratio_interval: [withRefreshes(ratio.low), withRefreshes(ratio.high)],
      step_time_ratio_without_refreshes: rounded(ratio.median, 4),
      signal_time_share: rounded(signalShare, 4),
      refresh_time_share: rounded(refreshShare, 4),
      refresh_flops_share: rounded(refreshFlops, 4),
      anchor_flops_share: rounded(share, 4),
      record_time_ratio: rounded(1 + recordMs / adaptMs, 5),
      ess_ratio_mean: rounded(essMean, 4),
    }),
  )
} else {
  console.error(
    `bench:overhead: the weights are not spread as calibrated (mean ESS ratio ${essMean}): nothing was measured`,
  )
  process.exitCode = 1
}
