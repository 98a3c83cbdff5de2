import {
  buildInfo,
  cudaIndex,
  type Device,
  type DeviceProperties,
  type DType,
  plannedLibTorch,
} from '@adapt-ts/torch'
import { ConfigError, ResourceError } from '../errors.js'
import { DEVICE_NAME, describeBadDevice } from '../method/device-name.js'
import { type DeviceFacts, deviceFacts, machineHasNvidia } from './device-facts.js'

/** A device and what is said of the choice. */
export interface ChosenDevice {
  /** `cpu`, `cuda:N` or `mps`. */
  readonly device: Device
  /** `cpu`, `mps`, or what the driver calls the GPU. */
  readonly name: string
  /** One line: the device, its name and memory, and why it was taken. */
  readonly line: string
}

/** Who asks, and what is known. */
export interface ChooseDeviceOptions {
  /** Key or option that messages name. Default `training.device`. */
  readonly key?: string
  /** Default: those of this process, which loads LibTorch. */
  readonly facts?: DeviceFacts
}

/**
 * The device that a config or an option asks for. `auto` is the first CUDA device where the LibTorch in use has CUDA
 * and sees one, else the CPU; `cuda` is the first too. CUDA_VISIBLE_DEVICES decides what CUDA sees and in which order.
 *
 * @param wanted  `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
 * @throws {ConfigError} UNKNOWN_DEVICE for another name; DEVICE_NOT_FOUND for a number that no device has.
 * @throws {ResourceError} NO_CUDA, NO_MPS where this LibTorch or machine has none.
 * @example
 * using model = loadModelFolder('SmolLM-135M', { device: chooseDevice('auto').device })
 */
export function chooseDevice(wanted = 'auto', options: ChooseDeviceOptions = {}): ChosenDevice {
  const { key = 'training.device' } = options
  if (!DEVICE_NAME.test(wanted)) {
    throw new ConfigError('UNKNOWN_DEVICE', `${key}: ${describeBadDevice(wanted)}`, { key })
  }
  if (wanted === 'cpu') return { device: 'cpu', name: 'cpu', line: `device cpu (${key}: cpu)` }
  const facts = options.facts ?? deviceFacts()
  if (wanted === 'mps') return chooseMps(key, facts)
  if (wanted !== 'auto') return chooseCuda(wanted, key, facts)
  const count = facts.libtorch.hasCuda ? facts.deviceCount() : 0
  if (count === 0)
    return { device: 'cpu', name: 'cpu', line: `device cpu (${key}: auto; ${whyNoCuda(facts)})` }
  return onCuda(
    0,
    facts,
    `${key}: auto; ${count === 1 ? 'the one' : `the first of ${count}`} that CUDA shows`,
  )
}

/**
 * The name of the device for one of several processes of a machine: they take its GPUs in turn, where the config leaves the choice.
 * @param localRank  Among the processes of this machine.
 */
export function deviceOfRank(wanted: string, localRank: number, facts: DeviceFacts = deviceFacts()): string {
  if (wanted !== 'auto' && wanted !== 'cuda') return wanted
  const count = facts.libtorch.hasCuda ? facts.deviceCount() : 0
  return count > 1 ? `cuda:${localRank % count}` : wanted
}

/**
 * What `chooseDevice` will look for, as far as it is known without loading LibTorch.
 * @returns `text` for a person, and `problem` where a run on this machine would be refused.
 */
export function foretellDevice(
  wanted: string,
  libtorch = plannedLibTorch(),
  platform: string = process.platform,
): { readonly text: string; readonly problem?: string } {
  if (wanted === 'cpu' || libtorch === undefined) return { text: wanted }
  const has = `LibTorch ${libtorch.version} ${libtorch.hasCuda ? 'has CUDA' : 'has no CUDA'}`
  if (wanted === 'auto') {
    return { text: libtorch.hasCuda ? `auto: CUDA where it sees a device (${has})` : `auto: cpu (${has})` }
  }
  const facts: DeviceFacts = { ...NOTHING_SEEN, libtorch, platform, hasNvidia: machineHasNvidia() }
  const isPossible = wanted === 'mps' ? platform === 'darwin' : libtorch.hasCuda
  if (isPossible) return { text: wanted }
  try {
    chooseDevice(wanted, { facts })
    return { text: wanted }
  } catch (error) {
    return { text: wanted, problem: (error as Error).message }
  }
}

const NOTHING_SEEN = {
  deviceCount: () => 0,
  cudaDevices: () => [],
  cudaVersions: () => ({ libtorch: undefined, driver: undefined, driverFailure: undefined }),
  deviceMemory: () => undefined,
  visible: undefined,
}

function chooseCuda(wanted: string, key: string, facts: DeviceFacts): ChosenDevice {
  const count = facts.libtorch.hasCuda ? facts.deviceCount() : 0
  if (count === 0) {
    const wayOut = facts.libtorch.hasCuda ? 'adapt doctor looks further' : HOW_TO_SWITCH
    throw new ResourceError(
      'NO_CUDA',
      `${key}: expected a CUDA device for "${wanted}", but ${whyNoCuda(facts)}; ${wayOut}, and cpu trains without one`,
      { key, wanted },
    )
  }
  const index = cudaIndex(wanted)!
  if (index >= count) {
    const known = count === 1 ? 'cuda:0' : `cuda:0 to cuda:${count - 1}`
    const renumbered = facts.visible === undefined ? '' : `, after CUDA_VISIBLE_DEVICES=${facts.visible}`
    throw new ConfigError(
      'DEVICE_NOT_FOUND',
      `${key}: expected ${known}, received "${wanted}": CUDA shows ${count} ${count === 1 ? 'device' : 'devices'}${renumbered}`,
      { key, wanted, count },
    )
  }
  return onCuda(index, facts, `${key}: ${wanted}`)
}

/** Of a clone of the repository, and of an installed package. */
export const HOW_TO_SWITCH =
  'activate a Python environment whose PyTorch has CUDA and build against it: LIBTORCH_USE_PYTORCH=1 npx adapt setup (in a clone: LIBTORCH_USE_PYTORCH=1 npm run setup)'

function whyNoCuda({ libtorch, visible, hasNvidia, cudaVersions }: DeviceFacts): string {
  if (!libtorch.hasCuda) {
    const unused = hasNvidia ? ', although this machine has an NVIDIA GPU: see adapt doctor' : ''
    return `LibTorch ${libtorch.version} in ${libtorch.root} has no CUDA${unused}`
  }
  const shown = `LibTorch ${libtorch.version} has CUDA and sees no device`
  if (visible !== undefined) return `${shown}: CUDA_VISIBLE_DEVICES is ${JSON.stringify(visible)}`
  const { driverFailure } = cudaVersions()
  if (driverFailure !== undefined) return `${shown}: the NVIDIA driver says "${driverFailure}"`
  return hasNvidia ? `${shown}, although an NVIDIA driver runs: see adapt doctor` : shown
}

function onCuda(index: number, { cudaDevices }: DeviceFacts, why: string): ChosenDevice {
  const device = `cuda:${index}`
  const found = cudaDevices()[index]
  if (found === undefined) return { device, name: device, line: `device ${device} (${why})` }
  const { name, totalMemory } = found
  return {
    device,
    name,
    line: `device ${device}, ${name}, ${(totalMemory / 2 ** 30).toFixed(1)} GiB (${why})`,
  }
}

/** Apple's GPU was never tried: what LibTorch lacks there shows when an operator is called. */
function chooseMps(key: string, { platform, libtorch }: DeviceFacts): ChosenDevice {
  if (platform !== 'darwin') {
    throw new ResourceError(
      'NO_MPS',
      `${key}: expected a Mac for "mps", this machine is ${platform}; use auto, cuda or cpu`,
      { key },
    )
  }
  return {
    device: 'mps',
    name: 'mps',
    line: `device mps, LibTorch ${libtorch.version} (${key}: mps; nobody has tried it yet)`,
  }
}

/** Whether a device multiplies bfloat16 itself: a CPU with AVX512-BF16, AMX or their like, CUDA from compute capability 8.0 on. */
export function hasBf16(device: Device, facts?: DeviceFacts): boolean {
  if (device === 'cpu') return buildInfo().hasBf16
  const index = cudaIndex(device)
  if (index === undefined) return false
  const found = (facts ?? deviceFacts()).cudaDevices()[index]
  return found !== undefined && multipliesBf16(found)
}

/** From compute capability 8.0 on (Ampere). */
export function multipliesBf16({ computeCapability }: Pick<DeviceProperties, 'computeCapability'>): boolean {
  return computeCapability[0] >= 8
}

/** bfloat16 where asked for, or by default where the device multiplies it natively. */
export function autocastDtype(bf16: boolean | 'auto', device: Device): DType | undefined {
  return bf16 === true || (bf16 === 'auto' && hasBf16(device)) ? 'bfloat16' : undefined
}
