import os from 'node:os'
import { describe, expect, it } from 'vitest'
import { requireRoom } from './require-room.js'

describe('requireRoom', () => {
  it('asks for one checkpoint more than are kept, and names the way out', () => {
    expect(() => requireRoom(os.tmpdir(), 1, 2)).not.toThrow()
    expect(() => requireRoom(os.tmpdir(), 1e18, 2, 2)).toThrow(/but 1 checkpoints of/)
    expect(() => requireRoom(os.tmpdir(), 1e18, 2)).toThrow(
      expect.objectContaining({
        code: 'DISK_FULL',
        exitCode: 5,
        message: expect.stringMatching(/3 checkpoints of 1,000,000,000,000 MB .*save_total_limit/),
      }),
    )
  })
})
