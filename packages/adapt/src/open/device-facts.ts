import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  buildInfo,
  type CudaVersions,
  cudaDevices,
  cudaVersions,
  type DeviceProperties,
  deviceCount,
  deviceMemory,
} from '@adapt-ts/torch'

/** What is known of the LibTorch in use and of the devices that it sees. Tests give others. */
export interface DeviceFacts {
  readonly libtorch: {
    readonly version: string
    readonly root: string
    /** Whether it brings CUDA, wherever it runs. */
    readonly hasCuda: boolean
  }
  /** CUDA devices that LibTorch sees; after CUDA_VISIBLE_DEVICES, which CUDA applies itself. */
  readonly deviceCount: () => number
  /** The devices that the driver shows, by their numbers. */
  readonly cudaDevices: () => readonly DeviceProperties[]
  readonly cudaVersions: () => CudaVersions
  /** Bytes of a CUDA device, whoever uses them; undefined where the driver does not say. */
  readonly deviceMemory: (index: number) => { readonly free: number; readonly total: number } | undefined
  /** CUDA_VISIBLE_DEVICES. */
  readonly visible: string | undefined
  /** Whether an NVIDIA driver runs on this machine. */
  readonly hasNvidia: boolean
  /** As Node names it. */
  readonly platform: string
}

/** Those of this process. Asking them loads LibTorch. */
export function deviceFacts(): DeviceFacts {
  const { libtorchVersion, libtorchRoot, libtorchHasCuda } = buildInfo()
  return {
    libtorch: { version: libtorchVersion, root: libtorchRoot, hasCuda: libtorchHasCuda },
    deviceCount: () => deviceCount(),
    cudaDevices,
    cudaVersions: () => withBuiltVersion(cudaVersions(), libtorchRoot),
    deviceMemory: (index) => {
      try {
        return deviceMemory(`cuda:${index}`)
      } catch {
        return undefined
      }
    },
    visible: process.env.CUDA_VISIBLE_DEVICES,
    hasNvidia: machineHasNvidia(),
    platform: process.platform,
  }
}

/** Whether the system shows a GPU of NVIDIA, whatever LibTorch sees. */
export function machineHasNvidia(): boolean {
  return ['/dev/nvidia0', '/dev/nvidiactl', '/proc/driver/nvidia/version'].some((path) => existsSync(path))
}

/** LibTorch tells its CUDA only where it can use it; else its files do: those of a PyTorch package or of a plain LibTorch. */
function withBuiltVersion(versions: CudaVersions, root: string): CudaVersions {
  if (versions.libtorch !== undefined) return versions
  for (const [file, pattern] of [
    ['version.py', /^cuda\b[^=]*=\s*'([\d.]+)'/m],
    ['build-version', /\+cu(\d+)(\d)$/m],
  ] as const) {
    try {
      const match = pattern.exec(readFileSync(join(root, file), 'utf8'))
      if (match) return { ...versions, libtorch: match.slice(1).join('.') }
    } catch {
      // Of the other kind.
    }
  }
  return versions
}
