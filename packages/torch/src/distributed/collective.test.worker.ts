/** One rank: runs every collective once and reports what it holds afterwards. */
import { parentPort, workerData } from 'node:worker_threads'
import { distributed } from '../index.js'
import { type CollectiveReport, runEveryCollective } from './every-collective.test.fixture.js'

export interface RankTask {
  readonly memory: distributed.VirtualRankMemory
  readonly rank: number
}

export interface RankReport extends CollectiveReport {
  /** Greatest number of ranks that had arrived before any rank left a barrier. */
  readonly arrivals: readonly number[]
}

const { memory, rank } = workerData as RankTask
const ranks = distributed.joinVirtualRanks(memory, rank)
const report = runEveryCollective(ranks)
const counter = new Int32Array(memory.control)
const arrivals = Array.from({ length: 50 }, () => {
  const generation = Atomics.load(counter, 1)
  ranks.barrier()
  return Atomics.load(counter, 1) - generation
})
parentPort!.postMessage({ ...report, arrivals } satisfies RankReport)
