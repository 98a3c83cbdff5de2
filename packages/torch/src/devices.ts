import { type Device, parseDevice } from './device.js'
import { rethrow } from './errors.js'
import { type CudaInfo, engine } from './native.js'

/** A CUDA device as its driver describes it. */
export interface DeviceProperties {
  /** For instance `NVIDIA H200`. */
  readonly name: string
  /** Bytes. */
  readonly totalMemory: number
  /** [major, minor]. */
  readonly computeCapability: readonly [number, number]
  readonly multiProcessorCount: number
}

/** CUDA versions, as `13.0`; undefined where there is none. */
export interface CudaVersions {
  /** That LibTorch was built for. */
  readonly libtorch: string | undefined
  /** The newest that the installed driver serves. */
  readonly driver: string | undefined
  /** Why the installed driver cannot be used, in its own words. */
  readonly driverFailure: string | undefined
}

/** Devices of a type that this LibTorch can use: 0 for `cuda` where it has no CUDA or `CUDA_VISIBLE_DEVICES` leaves none. */
export function deviceCount(type: Device = 'cuda'): number {
  return engine().native.deviceCount(parseDevice(type).type)
}

/** The CUDA devices that the driver shows, also where LibTorch cannot use them. `CUDA_VISIBLE_DEVICES` counts. */
export function cudaDevices(): readonly DeviceProperties[] {
  return cudaInfo().devices.map(({ name, totalBytes, computeMajor, computeMinor, multiProcessors }) => ({
    name,
    totalMemory: totalBytes,
    computeCapability: [computeMajor, computeMinor],
    multiProcessorCount: multiProcessors,
  }))
}

/** Number N of `cuda:N`; 0 of `cuda`; undefined for another device. */
export function cudaIndex(device: Device): number | undefined {
  const match = /^cuda(?::(\d+))?$/.exec(device)
  return match ? Number(match[1] ?? 0) : undefined
}

/** What LibTorch and the driver say of themselves. */
export function cudaVersions(): CudaVersions {
  const { libtorch, driver, failure } = cudaInfo()
  const text = (version: number) =>
    version > 0 ? `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}` : undefined
  return { libtorch: text(libtorch), driver: text(driver), driverFailure: failure || undefined }
}

const cudaInfo = (): CudaInfo => engine().native.cudaInfo()

/**
 * Memory of a CUDA device in bytes, whoever uses it. Makes the device ready for work, which takes memory itself.
 * @throws {TorchError} NO_SUCH_DEVICE; NOT_IMPLEMENTED for another type of device.
 */
export function deviceMemory(device: Device): { readonly free: number; readonly total: number } {
  const { type, index } = parseDevice(device)
  try {
    return engine().native.deviceBytes(type, index)
  } catch (error) {
    return rethrow(error, `memory of ${device}`)
  }
}

/** Waits until a device has done everything that this thread asked of it. Returns at once for the CPU. */
export function synchronize(device: Device): void {
  const { type, index } = parseDevice(device)
  if (type === 0) return
  try {
    engine().native.synchronizeDevice(type, index)
  } catch (error) {
    rethrow(error, `synchronize(${device})`)
  }
}
