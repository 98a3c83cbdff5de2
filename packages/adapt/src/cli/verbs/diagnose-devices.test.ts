import { describe, expect, it } from 'vitest'
import { H200, machineWith, V100 } from '../../open/device-facts.test.fixture.js'
import type { DeviceFacts } from '../../open/index.js'
import { deviceWarnings, diagnoseDevices, renderDevices } from './diagnose-devices.js'

const CPU_BUILD = { version: '1.13.1', root: '/usr', hasCuda: false }
const versions = (libtorch?: string, driver?: string, driverFailure?: string) => ({
  cudaVersions: () => ({ libtorch, driver, driverFailure }),
})
const rowsOf = (facts: DeviceFacts) => renderDevices(diagnoseDevices(facts))
const warningsOf = (facts: DeviceFacts) => deviceWarnings(diagnoseDevices(facts))

describe('what adapt doctor says of devices', () => {
  it('is each GPU with memory, compute capability and multiprocessors, and both versions of CUDA', () => {
    expect(rowsOf(machineWith([H200, V100]))).toEqual([
      ['cuda', 'LibTorch 13.0, driver up to 13.0'],
      ['cuda:0', 'NVIDIA H200, 139.8 GiB, 125.8 GiB free, compute capability 9.0, 132 multiprocessors'],
      ['cuda:1', 'Tesla V100-SXM2-16GB, 15.8 GiB, 14.2 GiB free, compute capability 7.0, 80 multiprocessors'],
    ])
    expect(warningsOf(machineWith([H200]))).toEqual([])
  })

  it('is one short row without CUDA and without a driver', () => {
    const facts = machineWith([], { libtorch: CPU_BUILD, ...versions() })
    expect(rowsOf(facts)).toEqual([['cuda', 'no']])
    expect(warningsOf(facts)).toEqual([])
  })

  it('is how to switch, where a GPU lies idle beside a LibTorch without CUDA', () => {
    const facts = machineWith([H200], {
      libtorch: CPU_BUILD,
      deviceCount: () => 0,
      ...versions(undefined, '13.0'),
    })
    expect(rowsOf(facts)[0]).toEqual(['cuda', 'not in LibTorch, driver up to 13.0'])
    expect(rowsOf(facts)[1]![1]).toContain('(not usable by this LibTorch)')
    expect(warningsOf(facts)).toHaveLength(1)
    expect(warningsOf(facts)[0]).toMatch(
      /LibTorch 1\.13\.1 has no CUDA.*LIBTORCH_USE_PYTORCH=1 npm run setup/,
    )
    // The device file is there, the driver's library is not.
    const bare = machineWith([], { libtorch: CPU_BUILD, hasNvidia: true, ...versions() })
    expect(warningsOf(bare)[0]).toContain('LIBTORCH_USE_PYTORCH=1')
  })

  it('is why a LibTorch with CUDA sees no device', () => {
    const why = (changes: Partial<DeviceFacts>) =>
      warningsOf(machineWith([], { hasNvidia: true, ...changes })).join('\n')
    expect(why({ visible: '' })).toContain('CUDA_VISIBLE_DEVICES="" hides every GPU; unset it')
    expect(why({ visible: '-1' })).toContain('CUDA_VISIBLE_DEVICES="-1" hides every GPU')
    expect(why({ visible: '9' })).toContain('CUDA_VISIBLE_DEVICES="9" names no GPU')
    expect(why(versions('13.0', '12.4'))).toContain(
      'the driver serves CUDA up to 12.4 and LibTorch was built for 13.0; update the driver, or build against a PyTorch for CUDA 12',
    )
    // One major version: not the reason.
    expect(why(versions('12.8', '12.4'))).toContain('the driver shows no device')
    expect(why(versions('13.0', undefined, 'no CUDA-capable device is detected'))).toContain(
      'the NVIDIA driver says "no CUDA-capable device is detected"',
    )
    expect(why(versions('13.0'))).toContain('libcuda.so.1')
    expect(why({ ...versions('13.0'), hasNvidia: false })).toContain('this machine shows no NVIDIA driver')
  })

  it('is what a device lacks: bfloat16, or memory that others hold', () => {
    const [old] = warningsOf(machineWith([V100]))
    expect(old).toContain(
      'cuda:0 (Tesla V100-SXM2-16GB) has no bfloat16 (compute capability 7.0, from 8.0 on)',
    )
    const shared = machineWith([H200], {
      deviceMemory: () => ({ free: 10 * 2 ** 30, total: H200.totalMemory }),
    })
    expect(warningsOf(shared)).toEqual([
      'cuda:0: other processes hold 129.8 of 139.8 GiB; nvidia-smi lists them',
    ])
    const unknown = machineWith([H200], { deviceMemory: () => undefined })
    expect(rowsOf(unknown)[1]![1]).not.toContain('free')
    expect(warningsOf(unknown)).toEqual([])
  })
})
