import { cudaIndex, plannedLibTorch } from '@adapt-ts/torch'
import type { RunConfig } from '../../config/index.js'
import { acceleratorNamed, type Device } from '../../estimate/index.js'
import type { DeviceFacts } from '../../open/index.js'

/** A device of this machine and how a config names it. */
export interface DeviceHere extends Device {
  /** For instance `cuda:0`. */
  readonly place: string
}

/**
 * The GPU that a run of this config would take on this machine; undefined where it would take none. LibTorch is loaded
 * only where it has CUDA and the config wants that.
 *
 * @param warn  Told where the config names a device that is not here: the run may be meant for another machine.
 */
export async function deviceHere(
  config: RunConfig,
  warn: (message: string) => void,
): Promise<DeviceHere | undefined> {
  const wanted = config.training.device
  if (wanted === 'cpu' || wanted === 'mps' || plannedLibTorch()?.hasCuda !== true) return undefined
  const { deviceFacts } = await import('../../open/index.js')
  return await describeHere(wanted, deviceFacts(), warn)
}

/** The same from facts. */
export async function describeHere(
  wanted: string,
  facts: DeviceFacts,
  warn: (message: string) => void,
): Promise<DeviceHere | undefined> {
  const { chooseDevice, hasBf16 } = await import('../../open/index.js')
  let place: string
  try {
    place = chooseDevice(wanted, { facts }).device
  } catch (error) {
    warn((error as Error).message)
    return undefined
  }
  const index = cudaIndex(place)
  const found = index === undefined ? undefined : facts.cudaDevices()[index]
  if (index === undefined || found === undefined) return undefined
  const free = facts.deviceMemory(index)?.free
  return {
    place,
    name: `${place}, ${found.name}`,
    tflops: acceleratorNamed(found.name)?.tflops ?? Number.NaN,
    memory: found.totalMemory,
    kind: 'accelerator',
    hasBfloat16: hasBf16(place, facts),
    ...(free === undefined ? {} : { free }),
  }
}
