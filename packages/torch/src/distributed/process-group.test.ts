// Process groups over Gloo: every rank is a process of its own.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { distributed } from '../index.js'
import type { RankReport, RankTask } from './collective.test.worker.js'
import { runJob as runFile } from './job.test.fixture.js'
import type { GroupReport } from './process-group.test.rank.js'

const file = new URL('./process-group.test.rank.js', import.meta.url)
const runJob = (task: string, options: Parameters<typeof runFile>[2] = {}) =>
  runFile<GroupReport>(file, task, options)

async function runVirtualRanks(worldSize: number): Promise<RankReport[]> {
  const memory = distributed.createVirtualRankMemory(worldSize, 64)
  return Promise.all(
    Array.from({ length: worldSize }, async (_, rank) => {
      const workerData: RankTask = { memory, rank }
      const worker = new Worker(new URL('./collective.test.worker.js', import.meta.url), { workerData })
      const [report] = (await once(worker, 'message')) as [RankReport]
      return report
    }),
  )
}

describe.each([2, 3])('%i processes', (worldSize) => {
  it('get from every collective what virtual ranks get, to the bit', async () => {
    const virtual = await runVirtualRanks(worldSize)
    const real = await runJob('collectives', { worldSize })
    expect(real.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual(Array(worldSize).fill([0, '']))
    expect(real.map(({ report }) => report?.collectives)).toEqual(
      virtual.map(({ arrivals, ...report }) => report),
    )
  })
})

describe('two processes', () => {
  it('exchange texts and numbers of any length', async () => {
    for (const { report } of await runJob('texts')) {
      const { texts, numbers, sums } = report!
      expect(texts).toEqual(['0', '1'.repeat(601)])
      expect(numbers).toEqual([[], Array.from({ length: 100 }, (_, i) => i + 0.5)])
      expect(sums).toEqual(Array.from({ length: 1000 }, (_, i) => 3 * i))
    }
  })

  it('count what they send: a frame, and two halves of a sum', async () => {
    for (const { report } of await runJob('bytes')) expect(report!.bytesSent).toBe(512 + 2 * 501 * 4)
  })

  it.each([
    ['other sizes', /rank 0: sum of \[2\], 8 bytes of float32.*; rank 1: sum of \[3\], 12 bytes of float32/],
    [
      'other dtypes',
      /rank 0: sum of \[4\], 16 bytes of float32.*; rank 1: sum of \[4\], 32 bytes of float64/,
    ],
    ['other shapes', /rank 0: sum of 2 tensors.*; rank 1: sum of 2 tensors/],
    ['other calls', /rank 0: exchange of text.*; rank 1: barrier/],
  ])('learn of %s and go on living', async (task, message) => {
    for (const { exitCode, failure, failedAgain } of await runJob(task)) {
      expect([exitCode, failure?.code, failure?.rank, failedAgain]).toEqual([6, 'PEER_MISMATCH', 1, true])
      expect(failure!.message).toMatch(message)
    }
  })

  it.each([
    ['killed peer', 1, /^rank 1 \(process \d+ on .*\) ended$/],
    ['killed host', 0, /^rank 0 \(process \d+ on .*\) ended$/],
    ['own error of a peer', 1, /^rank 1 failed: DATA_DAMAGED: shard 7 is damaged$/],
    ['own error of the host', 0, /^rank 0 failed: DATA_DAMAGED: shard 7 is damaged$/],
  ])('end by a %s, whose rank the other names', async (task, rank, message) => {
    const [survivor] = (await runJob(task)).filter((_, r) => r !== rank)
    expect([survivor!.exitCode, survivor!.failure?.name, survivor!.failure?.rank]).toEqual([
      6,
      'PeerError',
      rank,
    ])
    expect(survivor!.failure!.code).toBe('PEER_FAILED')
    expect(survivor!.failure!.message).toMatch(message)
    // Long before the timeout of the group, a minute here.
    expect(survivor!.failure!.ms).toBeLessThan(20_000)
  })

  it('wait for a peer that hangs for as long as they were told', async () => {
    const [survivor] = await runJob('stopped peer', { timeoutMs: 3000, killed: 1 })
    expect([survivor!.exitCode, survivor!.failure?.code, survivor!.failure?.rank]).toEqual([
      6,
      'PEER_TIMEOUT',
      1,
    ])
    expect(survivor!.failure!.message).toMatch(/^no answer from rank 1 \(process \d+ on .*\) for 3 s$/)
  })

  it('meet however long one of them works, beyond the limit of the group', async () => {
    for (const { report, exitCode } of await runJob('long work', { timeoutMs: 800 }))
      expect([exitCode, report?.sums]).toEqual([0, [3]])
  })

  it.each([
    ['death', 'a meeting', 1, /^rank 1 \(process \d+ on .*\) ended$/],
    ['error', 'a meeting', 0, /^rank 0 failed: DATA_DAMAGED: shard 7 is damaged$/],
    ['death', 'work', 1, /^rank 1 \(process \d+ on .*\) ended$/],
    ['error', 'work', 0, /^rank 0 failed: DATA_DAMAGED: shard 7 is damaged$/],
  ])('learn of the %s of one before %s', async (what, before, rank, message) => {
    const [survivor] = (await runJob(`${what} before ${before}`)).filter((_, r) => r !== rank)
    expect([survivor!.exitCode, survivor!.failure?.code, survivor!.failure?.rank]).toEqual([
      6,
      'PEER_FAILED',
      rank,
    ])
    expect(survivor!.failure!.message).toMatch(message)
    expect(survivor!.failure!.ms).toBeLessThan(20_000)
  })

  it('see that they were started as parts of jobs of different size', async () => {
    const ends = await runJob('collectives', {
      joinTimeoutMs: 1500,
      env: (rank) => ({ WORLD_SIZE: String(rank + 2) }),
    })
    for (const { exitCode, failure } of ends) {
      expect([exitCode, failure?.code]).toEqual([6, 'JOIN_FAILED'])
      expect(failure!.message).toBe('rank 1 was started as one of 3, rank 0 as one of 2')
    }
  })

  it('say who did not come', async () => {
    const ends = await runJob('collectives', {
      worldSize: 1,
      joinTimeoutMs: 200,
      env: () => ({ WORLD_SIZE: '3' }),
    })
    expect(ends[0]!.failure?.message).toMatch(
      /^ranks 1 and 2 of 3 did not come to 127\.0\.0\.1:\d+ within 0\.2 s$/,
    )
  })

  it('say where nobody listens', async () => {
    const ends = await runJob('collectives', {
      worldSize: 1,
      joinTimeoutMs: 200,
      env: () => ({ RANK: '1', WORLD_SIZE: '2' }),
    })
    expect(ends[0]!.failure?.message).toMatch(
      /^rank 1 found nobody at 127\.0\.0\.1:\d+ within 0\.2 s \(ECONNREFUSED\): rank 0 should listen there$/,
    )
  })
})

describe('a process that ends while the others connect to it', () => {
  it('is named by them', async () => {
    const env = (rank: number) => (rank === 1 ? { GLOO_SOCKET_IFNAME: 'no-such-interface' } : {})
    const [first, second] = await runJob('collectives', { timeoutMs: 1500, env })
    expect([second!.failure?.code, second!.failure?.rank]).toEqual(['JOIN_FAILED', undefined])
    expect(second!.failure!.message).toMatch(/^rank 1 cannot connect to the others: .*no-such-interface/)
    expect([first!.failure?.code, first!.failure?.rank]).toEqual(['PEER_FAILED', 1])
    expect(first!.failure!.message).toMatch(/^rank 1 \(process \d+ on .*\) ended$/)
  })
})

describe('a process whose job has one rank', () => {
  it('is a group by itself, without a network', async () => {
    const launch = distributed.readLaunch({ RANK: '0', WORLD_SIZE: '1' })!
    const group = await distributed.joinProcessGroup({ launch })
    expect([group.rank, group.worldSize, group.travel('cpu').backend]).toEqual([0, 1, 'none'])
    expect([group.gatherText('a'), group.gatherNumbers([1]), group.allReduceNumbers([2])]).toEqual([
      ['a'],
      [[1]],
      [2],
    ])
    await group.leave()
  })
})
