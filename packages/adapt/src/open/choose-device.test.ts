import { describe, expect, it } from 'vitest'
import type { AdaptError } from '../errors.js'
import { autocastDtype, chooseDevice, foretellDevice, hasBf16 } from './choose-device.js'
import type { DeviceFacts } from './device-facts.js'
import { H200, machineWith, V100 } from './device-facts.test.fixture.js'

const CPU_BUILD = { version: '1.13.1', root: '/usr', hasCuda: false }
const NEVER: DeviceFacts = new Proxy({} as DeviceFacts, {
  get: (_, name) => {
    throw new Error(`asked for ${String(name)}`)
  },
})

function refusal(wanted: string, facts: DeviceFacts): AdaptError {
  try {
    chooseDevice(wanted, { facts })
  } catch (error) {
    const refused = error as AdaptError
    expect(refused.message.split('\n')).toHaveLength(1)
    expect(refused.message).toMatch(/^training\.device: expected /)
    return refused
  }
  throw new Error('it was not refused')
}

describe('the device auto', () => {
  it('is the first GPU that LibTorch sees, by name, memory and reason', () => {
    expect(chooseDevice('auto', { facts: machineWith([H200]) })).toEqual({
      device: 'cuda:0',
      name: 'NVIDIA H200',
      line: 'device cuda:0, NVIDIA H200, 139.8 GiB (training.device: auto; the one that CUDA shows)',
    })
    expect(chooseDevice(undefined, { facts: machineWith([V100, H200]), key: '--device' }).line).toBe(
      'device cuda:0, Tesla V100-SXM2-16GB, 15.8 GiB (--device: auto; the first of 2 that CUDA shows)',
    )
  })

  it('is the CPU where LibTorch has no CUDA, and says so when a GPU lies idle', () => {
    const facts = machineWith([], { libtorch: CPU_BUILD })
    expect(chooseDevice('auto', { facts })).toEqual({
      device: 'cpu',
      name: 'cpu',
      line: 'device cpu (training.device: auto; LibTorch 1.13.1 in /usr has no CUDA)',
    })
    const idle = machineWith([H200], { libtorch: CPU_BUILD })
    expect(chooseDevice('auto', { facts: idle }).device).toBe('cpu')
    expect(chooseDevice('auto', { facts: idle }).line).toContain('although this machine has an NVIDIA GPU')
  })

  it('is the CPU where CUDA_VISIBLE_DEVICES hides every GPU, and says that', () => {
    const { device, line } = chooseDevice('auto', {
      facts: machineWith([], { visible: '', hasNvidia: true }),
    })
    expect(device).toBe('cpu')
    expect(line).toContain('sees no device: CUDA_VISIBLE_DEVICES is ""')
  })

  it('is the CPU where the driver does not work, and passes on what that says', () => {
    const failure = 'system not yet initialized'
    const facts = machineWith([], {
      hasNvidia: true,
      cudaVersions: () => ({ libtorch: '13.0', driver: '13.0', driverFailure: failure }),
    })
    expect(chooseDevice('auto', { facts }).line).toContain(`the NVIDIA driver says "${failure}"`)
    expect(refusal('cuda', facts).message).toContain(failure)
  })
})

describe('a device that is named', () => {
  it('is taken: cuda is the first, cuda:N the one of this number', () => {
    const facts = machineWith([V100, H200])
    expect(chooseDevice('cuda', { facts }).device).toBe('cuda:0')
    expect(chooseDevice('cuda:1', { facts }).line).toBe(
      'device cuda:1, NVIDIA H200, 139.8 GiB (training.device: cuda:1)',
    )
  })

  it('asks nothing of LibTorch when it is the CPU', () => {
    expect(chooseDevice('cpu', { facts: NEVER }).line).toBe('device cpu (training.device: cpu)')
  })

  it('is refused by the numbers that there are', () => {
    const error = refusal('cuda:7', machineWith([V100, H200], { visible: '3,5' }))
    expect(error).toMatchObject({ code: 'DEVICE_NOT_FOUND', exitCode: 2 })
    expect(error.message).toContain(
      'expected cuda:0 to cuda:1, received "cuda:7": CUDA shows 2 devices, after CUDA_VISIBLE_DEVICES=3,5',
    )
    expect(refusal('cuda:1', machineWith([H200])).message).toContain('expected cuda:0, received')
  })

  it('is refused with the way out when LibTorch has no CUDA', () => {
    const error = refusal('cuda', machineWith([H200], { libtorch: CPU_BUILD }))
    expect(error).toMatchObject({ code: 'NO_CUDA', exitCode: 5 })
    expect(error.message).toContain('LibTorch 1.13.1 in /usr has no CUDA')
    expect(error.message).toContain('LIBTORCH_USE_PYTORCH=1')
    const hidden = refusal('cuda:0', machineWith([], { visible: '-1' }))
    expect(hidden).toMatchObject({ code: 'NO_CUDA', exitCode: 5 })
    expect(hidden.message).toContain('CUDA_VISIBLE_DEVICES is "-1"')
    expect(hidden.message).not.toContain('LIBTORCH_USE_PYTORCH=1')
  })

  it('of a Mac is refused elsewhere, and taken on a Mac with a word of caution', () => {
    expect(refusal('mps', machineWith([]))).toMatchObject({ code: 'NO_MPS', exitCode: 5 })
    const mac = machineWith([], { platform: 'darwin', libtorch: { ...CPU_BUILD, version: '2.11.0' } })
    expect(chooseDevice('mps', { facts: mac })).toMatchObject({ device: 'mps' })
    expect(chooseDevice('mps', { facts: mac }).line).toContain('nobody has tried it yet')
    expect(chooseDevice('auto', { facts: mac }).device).toBe('cpu')
  })

  it.each([
    ['cudo', 'cuda'],
    ['gpu', 'cuda'],
    ['gpu:1', 'cuda:1'],
    ['cuda1', 'cuda:1'],
    ['1', 'cuda:1'],
    ['CUDA', 'cuda'],
    ['metal', 'mps'],
    ['cpuu', 'cpu'],
  ])('is looked up when it is spelled %s: %s was meant', (wanted, meant) => {
    const error = refusal(wanted, NEVER)
    expect(error).toMatchObject({ code: 'UNKNOWN_DEVICE', exitCode: 2 })
    expect(error.message).toContain(`received "${wanted}" (did you mean "${meant}"?)`)
  })
})

describe('what is known of a device before LibTorch is loaded', () => {
  it('is whether it has CUDA at all', () => {
    const cuda = { version: '2.11.0', root: '/opt/torch', hasCuda: true }
    expect(foretellDevice('auto', CPU_BUILD)).toEqual({ text: 'auto: cpu (LibTorch 1.13.1 has no CUDA)' })
    expect(foretellDevice('auto', cuda).text).toBe(
      'auto: CUDA where it sees a device (LibTorch 2.11.0 has CUDA)',
    )
    expect(foretellDevice('cuda:3', cuda)).toEqual({ text: 'cuda:3' })
    expect(foretellDevice('cuda', CPU_BUILD).problem).toContain('LIBTORCH_USE_PYTORCH=1')
    expect(foretellDevice('mps', cuda, 'linux').problem).toContain('expected a Mac')
    expect(foretellDevice('mps', cuda, 'darwin')).toEqual({ text: 'mps' })
  })
})

describe('bfloat16 by default', () => {
  it('follows the device: from compute capability 8.0 on', () => {
    const facts = machineWith([V100, H200])
    expect(hasBf16('cuda:0', facts)).toBe(false)
    expect(hasBf16('cuda', facts)).toBe(false)
    expect(hasBf16('cuda:1', facts)).toBe(true)
    expect(hasBf16('cuda:2', facts)).toBe(false)
    expect(hasBf16('mps', facts)).toBe(false)
    expect(autocastDtype(true, 'mps')).toBe('bfloat16')
    expect(autocastDtype(false, 'cuda:1')).toBeUndefined()
  })
})
