import { readFileSync } from 'node:fs'
import { type Device, parseDevice } from './device.js'
import { whyNoDeviceGroups } from './device-groups.js'
import { rethrow } from './errors.js'
import { builtLibTorch, engine, type MemoryStats } from './native.js'

/** The LibTorch that the add-on was built for, and what this machine offers it. */
export interface BuildInfo {
  readonly libtorchVersion: string
  readonly libtorchRoot: string
  readonly libtorchKind: string
  /** Whether this LibTorch brings CUDA, also where no device can be used. */
  readonly libtorchHasCuda: boolean
  /** Absolute. */
  readonly addonPath: string
  readonly numThreads: number
  /** Kernel set LibTorch picked, for instance AVX2 or AVX512. */
  readonly cpuCapability: string
  /** Instruction set that our own kernels run with: generic, avx2, avx512 or avx512bf16; ATEN_CPU_CAPABILITY bounds it too. */
  readonly kernels: string
  /** Whether the CPU multiplies bfloat16 natively (AVX512-BF16, AMX and their like). Says nothing of other devices. */
  readonly hasBf16: boolean
  /** Whether LibTorch has CUDA and can use a device. */
  readonly hasCuda: boolean
  /** What ranks of one job can talk by: `gloo`, and `nccl` for tensors of CUDA devices; nothing where LibTorch was built without torch.distributed. */
  readonly processGroups: readonly string[]
  /** Why there is no `nccl` where LibTorch has CUDA. */
  readonly ncclMissing?: string
}

/** The LibTorch that the add-on was built for. Loads nothing; undefined before the add-on was built. */
export function plannedLibTorch():
  | { readonly version: string; readonly root: string; readonly hasCuda: boolean }
  | undefined {
  try {
    const { version, root, cuda } = builtLibTorch()
    return { version, root, hasCuda: cuda }
  } catch {
    return undefined
  }
}

function cpuHasBf16(): boolean {
  try {
    return /^flags.*\b(avx512_bf16|amx_bf16)\b|^Features.*\bbf16\b/m.test(
      readFileSync('/proc/cpuinfo', 'utf8'),
    )
  } catch {
    return false
  }
}

function processGroups(): Pick<BuildInfo, 'processGroups' | 'ncclMissing'> {
  const { native, build } = engine()
  if (native.groupOpen === undefined) return { processGroups: [] }
  if (!build.libtorch.cuda) return { processGroups: ['gloo'] }
  const missing = whyNoDeviceGroups('cuda')
  return missing === undefined
    ? { processGroups: ['gloo', 'nccl'] }
    : { processGroups: ['gloo'], ncclMissing: missing }
}

/** What the engine is running on. Loads LibTorch. */
export function buildInfo(): BuildInfo {
  const { native, build } = engine()
  const info = native.info()
  return {
    libtorchVersion: build.libtorch.version,
    libtorchRoot: build.libtorch.root,
    libtorchKind: build.libtorch.kind,
    libtorchHasCuda: build.libtorch.cuda,
    addonPath: build.addon,
    numThreads: info.numThreads,
    cpuCapability: /CPU capability usage: (\S+)/.exec(info.config)?.[1] ?? 'unknown',
    kernels: info.kernels,
    hasBf16: cpuHasBf16(),
    hasCuda: info.hasCuda,
    ...processGroups(),
  }
}

/**
 * Threads of the engine within one operator; the default is the number of physical cores.
 *
 * @throws {TorchError} BAD_ARGUMENT for anything but an integer from 1 to 4096.
 */
export function setNumThreads(threads: number): void {
  try {
    engine().native.setNumThreads(threads)
  } catch (error) {
    rethrow(error, 'setNumThreads')
  }
}

/** Calls one of two counters: the CPU's allocator is ours, a device's is LibTorch's. */
function ofAllocator<T>(
  device: Device,
  where: string,
  onCpu: () => T,
  onDevice: (type: number, index: number) => T,
): T {
  const { type, index } = parseDevice(device)
  try {
    return type === 0 ? onCpu() : onDevice(type, index)
  } catch (error) {
    return rethrow(error, `${where}(${device})`)
  }
}

/**
 * Counters of the caching allocator of the CPU (exact) or of a device, and live tensor handles.
 * @throws {TorchError} NO_SUCH_DEVICE; NOT_IMPLEMENTED for a device with a LibTorch before 2.9.
 */
export function memoryStats(device: Device = 'cpu'): MemoryStats {
  const { native } = engine()
  return ofAllocator(device, 'memoryStats', native.memoryStats, native.deviceMemoryStats)
}

/** Starts a new peak measurement at the bytes allocated now. Throws as {@link memoryStats} does. */
export function resetPeakMemoryStats(device: Device = 'cpu'): void {
  const { native } = engine()
  ofAllocator(device, 'resetPeakMemoryStats', native.resetPeak, native.resetDevicePeak)
}

/** Returns cached blocks to the system. Throws as {@link memoryStats} does. */
export function emptyCache(device: Device = 'cpu'): void {
  const { native } = engine()
  ofAllocator(device, 'emptyCache', native.emptyCache, native.emptyDeviceCache)
}

/**
 * Switches of the whole process for devices; both are off in LibTorch and here.
 *
 * @param flags.deterministic  Only operators that give the same bits every time; one that cannot throws. Set it before the first
 *   product on a device: cuBLAS reads CUBLAS_WORKSPACE_CONFIG then, which is set to `:4096:8` where it is not set.
 * @param flags.tf32  float32 products of CUDA in TF32.
 */
export function setBackendFlags({ deterministic = false, tf32 = false } = {}): void {
  // Node sets the environment of the process, where cuBLAS looks.
  if (deterministic) process.env.CUBLAS_WORKSPACE_CONFIG ??= ':4096:8'
  engine().native.setFlags(deterministic, tf32)
}
