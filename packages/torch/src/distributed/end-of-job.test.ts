import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engine } from '../native.js'
import { type EndOfJob, findEnded, leaveLastWords } from './end-of-job.js'
import { JobStore } from './job-store.js'
import { thisMember } from './members.js'

const hasGroups = engine().native.storeOpen !== undefined

describe.runIf(hasGroups)('findEnded (needs a LibTorch with torch.distributed)', () => {
  const members = [thisMember(2), thisMember(2)]
  let store: JobStore
  const jobOf = (rank: number): EndOfJob => ({ rank, members, store, storeRank: 0 })
  beforeAll(() => {
    const id = engine().native.storeOpen('127.0.0.1', 0, true, 5_000)
    store = new JobStore(id, { prefix: 'test/', address: '127.0.0.1:0', hostRank: 0, answerMs: 1_000 })
  })
  afterAll(() => store.close())

  it('names nobody where all are alive and none has failed', () => {
    expect(findEnded(jobOf(0), undefined)).toBeUndefined()
    leaveLastWords(jobOf(1), { own: false, code: 'PEER_FAILED', message: 'a peer ended it' })
    expect(findEnded(jobOf(0), undefined)).toBeUndefined()
  })

  it('names a rank that waits with an error of its own until the others have read it', () => {
    leaveLastWords(jobOf(1), { own: true, code: 'DATA_DAMAGED', message: 'shard 7 is damaged' })
    expect(findEnded(jobOf(0), undefined)).toMatchObject({
      code: 'PEER_FAILED',
      rank: 1,
      message: 'rank 1 failed: DATA_DAMAGED: shard 7 is damaged',
    })
    // Not by its own words.
    expect(findEnded(jobOf(1), undefined)).toBeUndefined()
  })
})
