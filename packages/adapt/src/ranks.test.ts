import { describe, expect, it } from 'vitest'
import { fromEach, inRounds, isToldToAll, type Ranks } from './ranks.js'
import { ranksOfOneProcess } from './ranks.test.fixture.js'

const endsOf = async (worldSize: number, act: (ranks: Ranks) => Promise<unknown>) =>
  (await Promise.allSettled(ranksOfOneProcess(worldSize).map(act))).map((end) =>
    end.status === 'fulfilled' ? end.value : end.reason,
  )

describe('what each rank gives', () => {
  it('is there on all of them in rank order', async () => {
    const ends = await endsOf(3, (ranks) => fromEach(ranks, async () => ({ rank: ranks.rank, third: 1 / 3 })))
    const expected = [0, 1, 2].map((rank) => ({ rank, third: 1 / 3 }))
    expect(ends).toEqual([expected, expected, expected])
  })
})

describe('rounds of ranks', () => {
  const rounds = (
    ranks: Ranks,
    told: number[][],
    {
      tell = () => {},
      stopped = () => undefined,
    }: { tell?: () => void; stopped?: () => Error | undefined } = {},
  ) =>
    inRounds(ranks, {
      numRounds: 3,
      work: async (round) => 10 * round + ranks.rank,
      tell: (parts) => {
        told.push([...parts])
        if (ranks.isFirst) tell()
      },
      stopped: () => (ranks.isFirst ? stopped() : undefined),
    })

  it('give every part to all', async () => {
    const told: number[][][] = [[], []]
    expect(await endsOf(2, (ranks) => rounds(ranks, told[ranks.rank]!))).toEqual([undefined, undefined])
    expect(told[0]).toEqual([
      [0, 1],
      [10, 11],
      [20, 21],
    ])
    expect(told[1]).toEqual(told[0])
  })

  it.each([
    ['fails to hand a part on', { tell: () => raise('the disk is full') }, 'the disk is full'],
    ['is stopped', { stopped: () => new Error('stopped') }, 'stopped'],
  ])('end on all of them where the first %s', async (_, more, message) => {
    const ends = (await endsOf(2, (ranks) => rounds(ranks, [], more))) as Error[]
    expect(ends.map((error) => error.message)).toEqual([message, 'rank 0 ended it; it says why'])
    expect(ends.map(isToldToAll)).toEqual([true, true])
  })
})

function raise(message: string): never {
  throw new Error(message)
}
