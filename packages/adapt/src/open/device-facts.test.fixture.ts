import type { DeviceProperties } from '@adapt-ts/torch'
import type { DeviceFacts } from './device-facts.js'

/** A GPU as its driver describes it. */
export const H200: DeviceProperties = {
  name: 'NVIDIA H200',
  totalMemory: 150_109_880_320,
  computeCapability: [9, 0],
  multiProcessorCount: 132,
}

/** One from before bfloat16. */
export const V100: DeviceProperties = {
  name: 'Tesla V100-SXM2-16GB',
  totalMemory: 16_945_512_448,
  computeCapability: [7, 0],
  multiProcessorCount: 80,
}

/** A machine with these GPUs and a LibTorch that can use them; `changes` say otherwise. */
export function machineWith(
  devices: readonly DeviceProperties[],
  changes: Partial<DeviceFacts> = {},
): DeviceFacts {
  return {
    libtorch: { version: '2.11.0', root: '/opt/torch', hasCuda: true },
    deviceCount: () => devices.length,
    cudaDevices: () => devices,
    deviceMemory: (index) => ({
      free: 0.9 * devices[index]!.totalMemory,
      total: devices[index]!.totalMemory,
    }),
    cudaVersions: () => ({ libtorch: '13.0', driver: '13.0', driverFailure: undefined }),
    visible: undefined,
    hasNvidia: devices.length > 0,
    platform: 'linux',
    ...changes,
  }
}
