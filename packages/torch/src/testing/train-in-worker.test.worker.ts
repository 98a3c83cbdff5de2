/** Trains a little in a worker thread and reports what this environment holds. */
import { parentPort, workerData } from 'node:worker_threads'
import {
  autocast,
  backward,
  Generator,
  memoryStats,
  nn,
  noGrad,
  normal_,
  ones,
  optim,
  scope,
  sum,
} from '../index.js'
import { engine } from '../native.js'

export interface WorkerTask {
  readonly seed: number
  readonly steps: number
  /** A handle of the thread that started this one. */
  readonly foreignHandle: number
}

export interface WorkerReport {
  readonly losses: readonly number[]
  readonly foreignIsLive: boolean
  readonly liveAtStart: number
  readonly liveAtEnd: number
  readonly ownHandle: number
}

const { seed, steps, foreignHandle } = workerData as WorkerTask
const liveAtStart = memoryStats().liveTensors
const foreignIsLive = engine().native.isLive(foreignHandle)
const layer = new nn.Linear(32, 32)
scope(() => noGrad(() => normal_(layer.weight, 0, 0.1, new Generator(seed))))
const optimizer = new optim.AdamW([{ parameters: layer.parameters(), weightDecay: 0 }], {
  learningRate: 1e-2,
})

const losses = Array.from({ length: steps }, () =>
  scope(() => {
    const loss = autocast('cpu', 'bfloat16', () => sum(layer.run(ones([4, 32]))))
    backward([loss])
    optimizer.step()
    layer.zeroGrad()
    return loss.item()
  }),
)
const ownHandle = layer.weight.handle
// One tensor is left alive: leaving the thread must free it.
ones([1 << 20])
layer.dispose()
optimizer.dispose()
const report: WorkerReport = {
  losses,
  foreignIsLive,
  liveAtStart,
  liveAtEnd: memoryStats().liveTensors,
  ownHandle,
}
parentPort!.postMessage(report)
