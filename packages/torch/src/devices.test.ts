import { describe, expect, it } from 'vitest'
import {
  buildInfo,
  cudaDevices,
  cudaVersions,
  deviceCount,
  deviceMemory,
  emptyCache,
  hasKernel,
  memoryStats,
  resetPeakMemoryStats,
  scope,
  synchronize,
  TorchError,
  tensor,
} from './index.js'

const codeOf = (fn: () => unknown): string | undefined => {
  try {
    fn()
  } catch (error) {
    expect(error).toBeInstanceOf(TorchError)
    expect((error as TorchError).message).not.toContain('\n')
    return (error as TorchError).code
  }
  return undefined
}

describe('the CPU as a device', () => {
  it('is waited for at once, and counts its memory as without a name', () => {
    synchronize('cpu')
    resetPeakMemoryStats('cpu')
    emptyCache('cpu')
    expect(memoryStats('cpu').numAllocations).toBe(memoryStats().numAllocations)
  })
})

describe('devices that are not there', () => {
  const absent = deviceCount('cuda') === 0 ? 'cuda' : `cuda:${deviceCount('cuda')}`

  it.each([
    ['synchronize', () => synchronize(absent)],
    ['memoryStats', () => memoryStats(absent)],
    ['resetPeakMemoryStats', () => resetPeakMemoryStats(absent)],
    ['emptyCache', () => emptyCache(absent)],
    ['deviceMemory', () => deviceMemory(`cuda:${cudaDevices().length}`)],
  ])('are refused by %s', (_, call) => {
    expect(codeOf(call)).toBe('NO_SUCH_DEVICE')
  })

  it('are refused as names too', () => {
    for (const call of [deviceCount, deviceMemory, synchronize, memoryStats])
      expect(codeOf(() => call('cudo'))).toBe('UNKNOWN_DEVICE')
  })

  it('take no tensor', () => {
    expect(codeOf(() => scope(() => void tensor([1], [1], { device: absent })))).toBeDefined()
  })
})

describe('CUDA', () => {
  it('is described as far as it is there', () => {
    const versions = cudaVersions()
    for (const version of [versions.libtorch, versions.driver])
      if (version !== undefined) expect(version).toMatch(/^\d+\.\d+$/)
    if (versions.libtorch === undefined) expect(deviceCount('cuda')).toBe(0)
    for (const { name, totalMemory, computeCapability, multiProcessorCount } of cudaDevices()) {
      expect(name).not.toBe('')
      expect(totalMemory).toBeGreaterThan(2 ** 28)
      expect(computeCapability[0]).toBeGreaterThan(2)
      expect(multiProcessorCount).toBeGreaterThan(0)
    }
  })
})

describe('kernels', () => {
  it('are found by operator and device', () => {
    expect(hasKernel('aten::mm', '', 'cpu')).toBe(true)
    expect(hasKernel('aten::add', 'Tensor', 'cpu')).toBe(true)
    expect(hasKernel('aten::no_such_operator', '', 'cpu')).toBe(false)
    // LibTorch's kernels are there whether a device is or not.
    expect(hasKernel('aten::mm', '', 'cuda')).toBe(buildInfo().libtorchHasCuda)
  })

  it('are those of the parts for a composed operator', () => {
    expect(hasKernel('aten::linear', '', 'cpu')).toBe(true)
  })
})
