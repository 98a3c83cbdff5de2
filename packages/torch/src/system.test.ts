import { beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  bind,
  buildInfo,
  empty,
  emptyCache,
  matmul,
  memoryStats,
  ones,
  resetPeakMemoryStats,
  scope,
  setBackendFlags,
  setNumThreads,
  sum,
  tensor,
  toDType,
  zeros,
} from './index.js'
import { codeOf, valuesOf } from './testing/compare.test.fixture.js'

const MIB = 2 ** 20

beforeEach(() => {
  emptyCache()
  resetPeakMemoryStats()
})

describe('memoryStats', () => {
  it('counts the bytes of live tensors exactly', () => {
    const before = memoryStats()
    const made = [
      zeros([1000]),
      zeros([10, 10], { dtype: 'int64' }),
      zeros([7], { dtype: 'bool' }),
      zeros([3 * MIB], { dtype: 'bfloat16' }),
      zeros([0, 5]),
    ]
    const bytes = 4000 + 800 + 7 + 6 * MIB
    const after = memoryStats()
    expect(after.allocatedBytes - before.allocatedBytes).toBe(bytes)
    expect(after.liveTensors - before.liveTensors).toBe(made.length)
    expect(after.numAllocations - before.numAllocations).toBe(4)
    for (const tensor of made) tensor.dispose()
    expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes)
    expect(memoryStats().liveTensors).toBe(before.liveTensors)
  })

  it('counts shared memory once and until its last user is gone', () => {
    const before = memoryStats().allocatedBytes
    const x = zeros([256])
    const same = toDType(x, 'float32')
    expect(memoryStats().allocatedBytes - before).toBe(1024)
    x.dispose()
    expect(memoryStats().allocatedBytes - before).toBe(1024)
    same.dispose()
    expect(memoryStats().allocatedBytes).toBe(before)
  })

  it('keeps the peak until it is reset', () => {
    const base = memoryStats().allocatedBytes
    zeros([MIB]).dispose()
    zeros([100]).dispose()
    expect(memoryStats().peakBytes - base).toBe(4 * MIB)
    const x = zeros([50])
    resetPeakMemoryStats()
    expect(memoryStats().peakBytes - base).toBe(200)
    x.dispose()
    expect(memoryStats().peakBytes - base).toBe(200)
  })
})

describe('the caching allocator', () => {
  it('holds what large tensors leave and gives it to the next ones', () => {
    const before = memoryStats().reservedBytes
    zeros([2 * MIB]).dispose()
    expect(memoryStats().reservedBytes - before).toBe(8 * MIB)
    const again = zeros([2 * MIB])
    expect(memoryStats().reservedBytes - before).toBe(8 * MIB)
    expect(valuesOf(sum(again))).toEqual([0])
    again.dispose()
  })

  it('reserves nothing more for repeated work of the same size', () => {
    const work = () =>
      scope(() => {
        const x = ones([1024, 1024])
        return valuesOf(sum(add(matmul(x, x), x)))[0]
      })
    const first = work()
    const reserved = memoryStats().reservedBytes
    for (let i = 0; i < 5; i++) expect(work()).toBe(first)
    expect(memoryStats().reservedBytes).toBe(reserved)
  })

  it('cuts what is free to the size of a request, and joins it again', () => {
    const before = memoryStats().reservedBytes
    zeros([4 * MIB]).dispose()
    const reserved = memoryStats().reservedBytes
    expect(reserved - before).toBe(16 * MIB)
    const parts = [MIB, 2 * MIB, MIB].map((size) => ones([size]))
    expect(memoryStats().reservedBytes).toBe(reserved)
    scope(() => expect(parts.map((part) => valuesOf(sum(part))[0])).toEqual([MIB, 2 * MIB, MIB]))
    for (const i of [0, 2, 1]) parts[i]!.dispose()
    zeros([4 * MIB]).dispose()
    expect(memoryStats().reservedBytes).toBe(reserved)
  })

  it('adds to what is free at its end', () => {
    const before = memoryStats().reservedBytes
    const first = ones([MIB])
    zeros([MIB]).dispose()
    const large = zeros([3 * MIB])
    expect(memoryStats().reservedBytes - before).toBe(16 * MIB)
    first.dispose()
    large.dispose()
  })

  it('returns cached blocks to the system, and none that is in use', () => {
    const before = memoryStats().reservedBytes
    const used = ones([MIB])
    zeros([2 * MIB]).dispose()
    expect(memoryStats().reservedBytes - before).toBe(12 * MIB)
    emptyCache()
    expect(memoryStats().reservedBytes - before).toBe(4 * MIB)
    scope(() => expect(valuesOf(sum(used))).toEqual([MIB]))
    used.dispose()
    emptyCache()
    expect(memoryStats().reservedBytes).toBe(before)
  })

  it('gives back what tens of thousands of requests did not need, but 512 MiB', () => {
    const make = (size: number) => scope(() => void empty([size]))
    const before = memoryStats().reservedBytes
    make(160 * MIB)
    expect(memoryStats().reservedBytes - before).toBe(640 * MIB)
    for (let i = 0; i < 50_000; i++) make(MIB)
    // A huge page less where another block of this process lies in one that was held before.
    const held = memoryStats().reservedBytes - before
    expect(held).toBeLessThanOrEqual(516 * MIB)
    expect(held).toBeGreaterThanOrEqual(514 * MIB)
  })

  it('reserves small tensors to the byte', () => {
    const before = memoryStats().reservedBytes
    const x = zeros([10])
    expect(memoryStats().reservedBytes - before).toBe(40)
    x.dispose()
    expect(memoryStats().reservedBytes).toBe(before)
  })
})

describe('the engine', () => {
  it('says what it runs on', () => {
    const info = buildInfo()
    expect(info.libtorchVersion).toMatch(/^\d+\.\d+\.\d+/)
    expect(info.addonPath).toMatch(/\/[0-9a-f]{16}\/adapt_torch\.node$/)
    expect(info.cpuCapability).not.toBe('unknown')
  })

  it('runs on as many threads as it is told', () => {
    const before = buildInfo().numThreads
    setNumThreads(2)
    expect(buildInfo().numThreads).toBe(2)
    setNumThreads(before)
    for (const wrong of [0, -1, 1.5, NaN, 5000])
      expect(codeOf(() => setNumThreads(wrong))).toBe('BAD_ARGUMENT')
    expect(buildInfo().numThreads).toBe(before)
  })

  it('refuses by name an operator that does not repeat itself, only while told so', () => {
    const put = bind('aten::put_')
    const call = () => scope(() => void put(zeros([3]), tensor([1], [1], { dtype: 'int64' }), ones([1])))
    setBackendFlags({ deterministic: true, tf32: true })
    try {
      expect(call).toThrow(/put_.*deterministic/)
      expect(process.env.CUBLAS_WORKSPACE_CONFIG).toBe(':4096:8')
    } finally {
      setBackendFlags()
    }
    call()
  })
})
