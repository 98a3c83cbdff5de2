// Gradient buckets between real processes, against sums of whole gradients and an AdamW over whole parameters.
import { describe, expect, it } from 'vitest'
import { distributed, nn, scope, zeros } from '../index.js'
import { codeOf } from '../testing/compare.test.fixture.js'
import type { BucketReport } from './gradient-buckets.test.rank.js'
import { runJob } from './job.test.fixture.js'

const file = new URL('./gradient-buckets.test.rank.js', import.meta.url)
const NUM_ELEMENTS = 15 + 7 + 4 + 11 + 3

describe.each([2, 3])('gradient buckets of %i processes', (worldSize) => {
  const plain = runJob<BucketReport>(file, 'one by one', { worldSize })
  const sharded = runJob<BucketReport[]>(file, 'caps of 1, 64 and a million bytes', { worldSize })

  it('train to the same bits as sums of whole gradients, whatever their cap', async () => {
    const expected = (await plain).map(({ report }) => report!)
    for (const { exitCode, stderr, report } of await sharded) {
      expect([exitCode, stderr]).toEqual([0, ''])
      for (const { parameters, gradients } of report!) {
        expect(gradients).toEqual(expected[0]!.gradients)
        expect(parameters).toEqual(expected[0]!.parameters)
      }
    }
  })

  it('give each rank its share of the moments, and no tensor more than it had', async () => {
    const reports = (await sharded).map(({ report }) => report!)
    for (const [i, cap] of [1, 64, 1e6].entries()) {
      const shares = reports.map((report) => report[i]!)
      expect(shares.reduce((total, { momentElements }) => total + momentElements, 0)).toBe(2 * NUM_ELEMENTS)
      expect(shares.map(({ leakedTensors }) => leakedTensors)).toEqual(Array(worldSize).fill(0))
      expect(shares.every(({ areGradientsGone }) => areGradientsGone)).toBe(true)
      expect([cap, shares[0]!.count]).toEqual([cap, { 1: 5, 64: 4, 1000000: 3 }[cap]])
    }
  })

  it('leave during backward where a rank uses all parameters', async () => {
    const [first] = await sharded
    for (const { launchedInBackward, count } of first!.report!) expect(launchedInBackward).toBe(3 * count)
  })

  it('move each piece to its owner and back, and no more', async () => {
    const [first] = await sharded
    const { bytesSent } = first!.report![2]!
    // Buckets of 14, 4 and 22 elements; three steps of two transfers, and the gathers of one test.
    const pieces = [14, 4, 22].map((numel) => Math.ceil(numel / worldSize))
    const perTransfer = pieces[0]! * 4 + pieces[1]! * 2 + pieces[2]! * 4
    const gathers = pieces.reduce((total, length) => total + 512 + 4 * length, 0)
    expect(bytesSent).toBe((worldSize - 1) * (512 + 3 * 2 * perTransfer + gathers))
  })
})

describe('gradient buckets', () => {
  it('give every rank every sum where that is asked for', async () => {
    const plain = await runJob<BucketReport>(file, 'one by one')
    for (const { report } of await runJob<BucketReport[]>(file, 'sums for all')) {
      expect(report![0]!.gradients).toEqual(plain[0]!.report!.gradients)
      expect(report![0]!.parameters).toEqual(plain[0]!.report!.parameters)
    }
  })

  it('are refused where ranks cut them differently', async () => {
    for (const { failure } of await runJob(file, 'other caps')) {
      expect([failure?.code, failure?.rank]).toEqual(['PEER_MISMATCH', 1])
      expect(failure!.message).toMatch(/rank 0: gradient buckets of 5 parameters/)
    }
  })

  it('refuse a gradient that comes after its bucket could leave', async () => {
    for (const { report } of await runJob<string>(file, 'two gradients after ready'))
      expect(report).toBe('GRADIENT_AFTER_READY')
  })

  it('of a world of one send nothing and cut nothing', async () => {
    const launch = distributed.readLaunch({ RANK: '0', WORLD_SIZE: '1' })!
    const group = await distributed.joinProcessGroup({ launch })
    scope(() => {
      const parameter = new nn.Parameter(zeros([3, 2]))
      const buckets = distributed.createGradientBuckets(group, [parameter])
      expect(buckets.shards.map(({ offset, length }) => [offset, length])).toEqual([[0, 6]])
      expect(codeOf(() => buckets.ready(zeros([1])))).toBe('BAD_ARGUMENT')
      buckets.dispose()
      parameter.dispose()
    })
  })
})
