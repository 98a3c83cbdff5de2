import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { distributed, ones, scope, tensor, zeros } from '../index.js'
import { torchErrorOf, valuesOf } from '../testing/compare.test.fixture.js'
import type { RankReport, RankTask } from './collective.test.worker.js'

const file = new URL('./collective.test.worker.js', import.meta.url)

async function runRanks(worldSize: number): Promise<RankReport[]> {
  const memory = distributed.createVirtualRankMemory(worldSize, 64)
  const ranks = Array.from({ length: worldSize }, async (_, rank) => {
    const workerData: RankTask = { memory, rank }
    const worker = new Worker(file, { workerData })
    const exited = once(worker, 'exit')
    const [report] = (await once(worker, 'message')) as [RankReport]
    expect(await exited).toEqual([0])
    return report
  })
  return Promise.all(ranks)
}

describe.each([2, 4])('%i virtual ranks', (worldSize) => {
  const all = Array.from({ length: worldSize }, (_, rank) => rank)
  const reports = runRanks(worldSize)

  it('sum tensors in place, each in its own dtype', async () => {
    const total = (worldSize * (worldSize + 1)) / 2
    for (const { sums, sumDtype } of await reports) {
      expect(sums.slice(0, 2)).toEqual([Array(4).fill(total), Array(3).fill(2 ** worldSize - 1)])
      expect(sumDtype).toBe('bfloat16')
    }
  })

  it('gather tensors of different first dimensions in rank order', async () => {
    for (const { gathered } of await reports) {
      expect(gathered.slice(0, worldSize)).toEqual(
        all.map((rank) => ({ shape: [rank, 3], values: Array(rank * 3).fill(rank), dtype: 'int64' })),
      )
    }
  })

  it('gather from a rank without rows that does not know the width', async () => {
    for (const { gathered } of await reports) {
      const shapes = gathered.slice(worldSize).map(({ shape }) => shape)
      expect(shapes).toEqual([[0, 0], ...Array(worldSize - 1).fill([1, 2])])
    }
  })

  it('receive what one of them broadcasts, into parameters too', async () => {
    for (const { broadcast, parameter } of await reports) {
      expect(broadcast).toEqual([0, 1, 2, 3])
      expect(parameter).toEqual([0])
    }
  })

  it('agree to the bit on sums of numbers, taken in rank order', async () => {
    const expected = all.reduce(
      ([a, b, c], rank) => [
        a! + 0.1 * (rank + 1),
        b! + 1e16 * (rank % 2 === 0 ? 1 : -1),
        c! + (rank === 0 ? 1 : 0),
      ],
      [0, 0, 0],
    )
    for (const { numbers } of await reports) expect(numbers).toEqual(expected)
  })

  it('leave a barrier together, as often as they meet', async () => {
    for (const { arrivals } of await reports) expect(arrivals).toEqual(Array(50).fill(1))
  })

  it('know their place and leave no tensors behind', async () => {
    expect((await reports).map((report) => [report.rank, report.temporaries, report.leakedTensors])).toEqual(
      all.map((rank) => [rank, 0, 0]),
    )
  })
})

describe('a virtual rank', () => {
  it('waits for its peers for so long and no longer', () => {
    const memory = distributed.createVirtualRankMemory(2, 4)
    const rank = distributed.joinVirtualRanks(memory, 0, 10)
    const error = torchErrorOf(() => rank.barrier())
    expect([error.code, error.message]).toEqual(['COLLECTIVE_TIMEOUT', 'rank 0 waited 10 ms for its peers'])
  })

  it('says when a tensor is too large for the memory', () => {
    const memory = distributed.createVirtualRankMemory(1, 4)
    const rank = distributed.joinVirtualRanks(memory, 0)
    expect(rank.allReduceNumbers([1, 2, 3, 4])).toEqual([1, 2, 3, 4])
    expect(torchErrorOf(() => rank.allReduceNumbers(Array(100).fill(1)))).toMatchObject({
      code: 'COLLECTIVE_TOO_LARGE',
      message: '100 values, capacity 4',
    })
  })

  it('alone in its world does every collective by itself', () => {
    scope(() => {
      const rank = distributed.joinVirtualRanks(distributed.createVirtualRankMemory(1, 16), 0)
      const x = tensor([1, 2], [2])
      rank.allReduceSum([x])
      rank.broadcast(x, 0)
      rank.barrier()
      expect(valuesOf(x)).toEqual([1, 2])
      expect(rank.allGather(x).map(valuesOf)).toEqual([[1, 2]])
      expect(rank.allGather(zeros([])).map(({ shape }) => shape)).toEqual([[]])
    })
  })
})

describe('the single process', () => {
  it('is a rank without peers', () => {
    const alone = distributed.singleProcess
    expect([alone.rank, alone.worldSize]).toEqual([0, 1])
    scope(() => {
      const x = ones([2])
      alone.allReduceSum([x])
      alone.broadcast(x, 0)
      alone.barrier()
      expect(valuesOf(x)).toEqual([1, 1])
      const [gathered] = alone.allGather(x)
      expect(valuesOf(gathered!)).toEqual([1, 1])
      const given = [0.1, 0.2]
      expect(alone.allReduceNumbers(given)).toEqual(given)
      expect(alone.allReduceNumbers(given)).not.toBe(given)
    })
  })

  it('hands out a gathered tensor that may be disposed like any other', () => {
    const x = ones([2])
    for (const one of distributed.singleProcess.allGather(x)) one.dispose()
    expect(x.isDisposed).toBe(false)
    x.dispose()
  })
})
