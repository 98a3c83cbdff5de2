/**
 * One rank of `bench:distributed` on our side: trains block by block, and answers JSON lines with JSON lines as `python/peer.py` does. The
 * ranks of a job are told apart by the variables of torchrun; without them it is one process. Its one argument is JSON, {@link RankOptions}.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Trainer } from '@adapt-ts/adapt'
import { type Collective, distributed, setNumThreads, type Tensor } from '@adapt-ts/torch'
import { modelShape } from './model-shapes.js'
import { type BenchShape, createRunner, toBatch, writeWeights } from './step-runner.js'

export interface RankOptions {
  readonly preset: string
  /** Rows of this rank, and ids a row has besides the last label. */
  readonly rows: number
  readonly length: number
  readonly threads: number
  /** int32 ids of global batches, one after another. */
  readonly data: string
  /** Gradients leave when backward is over. */
  readonly withoutOverlap?: boolean
  /** Where rank 0 writes the initial parameters. */
  readonly weights?: string
}

/** What a rank says of a block of steps. */
export interface RankBlock {
  readonly losses: readonly number[]
  readonly seconds: number
  readonly cpu_seconds: number
  /** Of all steps, for gradients of others. */
  readonly wait_ms: number
  /** Handed over for others. */
  readonly bytes_sent: number
  readonly optimizer_bytes: number
}

const options = JSON.parse(process.argv[2]!) as RankOptions
setNumThreads(options.threads)
const launch = distributed.readLaunch(process.env)
const group = launch && launch.worldSize > 1 ? await distributed.joinProcessGroup({ launch }) : undefined
const collective: Collective = group ?? distributed.singleProcess
const shape: BenchShape = {
  // The peer has a head of its own.
  config: { ...modelShape(options.preset), tieWordEmbeddings: false },
  ...{ rows: options.rows, length: options.length },
}
const trainer = createRunner(shape, { dtype: 'float32', collective })
if (options.weights !== undefined && collective.rank === 0) writeWeights(trainer.model, options.weights)
if (options.withoutOverlap === true) launchAfterBackward(trainer)

const bytes = readFileSync(options.data)
const ids = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
const perRank = shape.rows * (shape.length + 1)
const numBatches = ids.length / perRank / collective.worldSize
const batches = Array.from({ length: numBatches }, (_, i) => {
  const start = (i * collective.worldSize + collective.rank) * perRank
  return toBatch(ids.subarray(start, start + perRank), shape, collective.rank * shape.rows)
})
let next = 0

function run(steps: number): RankBlock {
  const cpu = process.cpuUsage()
  const sent = group?.bytesSent ?? 0
  let waitMs = 0
  const start = performance.now()
  const losses = Array.from({ length: steps }, () => {
    const { record, events } = trainer.runStep([batches[next++ % numBatches]!])
    waitMs += events.totals.waitMs
    return record.lossWeighted
  })
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const moments = trainer.optimizer.ownMoments().reduce((total, [, { numel }]) => total + 4 * numel, 0)
  return {
    losses,
    seconds,
    cpu_seconds: (user + system) / 1e6,
    wait_ms: waitMs,
    bytes_sent: (group?.bytesSent ?? 0) - sent,
    optimizer_bytes: moments,
  }
}

/** For comparison: the buckets stay until backward is over. */
function launchAfterBackward({ optimizer: { gradients } }: Trainer): void {
  const { arm, finish } = gradients
  let scale: Tensor | undefined
  gradients.arm = (value) => {
    scale = value.persist()
  }
  gradients.ready = () => {}
  gradients.finish = () => {
    arm.call(gradients, scale!)
    scale!.dispose()
    return finish.call(gradients)
  }
}

console.log(JSON.stringify({ ready: true, parameters: trainer.model.numParameters }))
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as { readonly steps?: number; readonly quit?: boolean }
  if (request.quit === true) break
  console.log(JSON.stringify(run(request.steps ?? 1)))
}
await group?.leave()
process.exit(0)
