import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ChunkStore } from './chunk-store.js'

const root = mkdtempSync(join(tmpdir(), 'adapt-chunks-'))
afterAll(() => rmSync(root, { recursive: true }))

const once = (values: readonly number[], flops = 3) => {
  let calls = 0
  return {
    compute: async () => {
      calls += 1
      return { values: Float32Array.from(values), flops }
    },
    calls: () => calls,
  }
}

describe('chunk store', () => {
  it('computes a chunk once and gives values and cost back as they were', async () => {
    const store = new ChunkStore(join(root, 'a'))
    const first = once([1, Number.NaN, -0.5])
    await store.take(0, first.compute)
    const again = once([9])
    const found = await new ChunkStore(join(root, 'a')).take(0, again.compute)
    expect([first.calls(), again.calls()]).toEqual([1, 0])
    expect([...found.values]).toEqual([1, Number.NaN, -0.5])
    expect(found.flops).toBe(3)
  })

  it('computes again what a process that was killed left half written', async () => {
    const folder = join(root, 'b')
    const store = new ChunkStore(folder)
    writeFileSync(join(folder, '0000000.f32.tmp'), 'half')
    writeFileSync(join(folder, '0000001.f32'), '123')
    for (const index of [0, 1]) {
      const { compute, calls } = once([index])
      expect([...(await store.take(index, compute)).values]).toEqual([index])
      expect(calls()).toBe(1)
    }
    expect(readdirSync(folder).sort()).toEqual(['0000000.f32', '0000001.f32'])
  })

  it('stores nothing of a computation that fails', async () => {
    const store = new ChunkStore(join(root, 'c'))
    await expect(store.take(0, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    const { compute, calls } = once([4])
    await store.take(0, compute)
    expect(calls()).toBe(1)
  })
})
