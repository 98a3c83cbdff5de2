import { parentPort, workerData } from 'node:worker_threads'
import { distributed } from '@adapt-ts/torch'
import { type LayoutRun, runLayout } from './training-case.test.fixture.js'

/** One rank of a run as a worker thread. */
export interface VirtualRank {
  readonly run: LayoutRun
  readonly memory: distributed.VirtualRankMemory
  readonly rank: number
}

const { run, memory, rank } = workerData as VirtualRank
parentPort!.postMessage(runLayout(run, distributed.joinVirtualRanks(memory, rank, 20_000)))
