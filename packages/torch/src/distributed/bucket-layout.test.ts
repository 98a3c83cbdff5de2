import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BucketItem, planBuckets, planShards } from './bucket-layout.js'

const float = (numel: number): BucketItem => ({ numel, dtype: 'float32', itemBytes: 4 })

describe('the layout of gradient buckets', () => {
  it('fills from the last parameter, up to the cap, each bucket with one dtype', () => {
    const half: BucketItem = { numel: 3, dtype: 'bfloat16', itemBytes: 2 }
    const plans = planBuckets([float(10), half, float(2), float(1), float(1)], 12, 2)
    expect(
      plans.map(({ dtype, members, pieceLength }) => [dtype, members.map(({ index }) => index), pieceLength]),
    ).toEqual([
      ['float32', [4, 3], 1],
      ['float32', [2], 1],
      ['bfloat16', [1], 2],
      ['float32', [0], 5],
    ])
  })

  it('gives every element to one rank, and to no two', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 7 }),
        (numels, cap, worldSize) => {
          const plans = planBuckets(numels.map(float), cap, worldSize)
          const owners = numels.map((numel) => new Array<number>(numel).fill(0))
          for (let rank = 0; rank < worldSize; rank++)
            for (const { index, offset, length, bucket, start } of planShards(plans, rank)) {
              for (let i = 0; i < length; i++) owners[index]![offset + i]! += 1
              const { pieceLength } = plans[bucket]!
              expect([
                Math.floor(start / pieceLength),
                Math.floor((start + length - 1) / pieceLength),
              ]).toEqual([rank, rank])
            }
          expect(owners.flat().every((count) => count === 1)).toBe(true)
        },
      ),
    )
  })
})
