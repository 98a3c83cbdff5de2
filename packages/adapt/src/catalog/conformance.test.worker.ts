import { parentPort, workerData } from 'node:worker_threads'
import { distributed } from '@adapt-ts/torch'
import { CASES, type ConformanceLayout, type ConformanceResult, runCase } from './conformance.test.fixture.js'

/** One rank that trains every method in turn. */
export interface ConformanceRank {
  readonly layout: ConformanceLayout
  readonly memory: distributed.VirtualRankMemory
  readonly rank: number
}

const { layout, memory, rank } = workerData as ConformanceRank
const collective = distributed.joinVirtualRanks(memory, rank, 20_000)
const results: (ConformanceResult | string)[] = CASES.map((of) => {
  try {
    return runCase(of, layout, collective)
  } catch (error) {
    return String(error)
  }
})
parentPort!.postMessage(results)
