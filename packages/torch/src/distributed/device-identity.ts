import type { Device } from '../device.js'
import { whyNoDeviceGroups } from '../device-groups.js'
import { cudaIndex } from '../devices.js'
import { engine } from '../native.js'

/** What a rank tells the others of the device on which its tensors are. */
export interface DeviceIdentity {
  readonly device: Device
  /** Equal for ranks whose devices are one and the same piece of hardware; a group of NCCL takes no two of them. */
  readonly hardware: string
  /** Why this rank cannot exchange the device's memory as it is. */
  readonly missing?: string
}

/** The device of this rank. @param rank  Tells devices apart that have no name of their own. */
export function identify(device: Device, rank: number): DeviceIdentity {
  if (device === 'cpu')
    return { device, hardware: `cpu of rank ${rank}`, missing: 'its tensors are on the CPU' }
  const { native } = engine()
  const index = cudaIndex(device)
  const uuid = index === undefined ? undefined : native.cudaInfo().devices[index]?.uuid
  const hardware = uuid || `${device} of rank ${rank}`
  const missing = whyNoDeviceGroups(device)
  return { device, hardware, ...(missing === undefined ? {} : { missing }) }
}

/** Why so many ranks cannot be one group of their devices; undefined where they can. */
export function whyNoDeviceGroup(identities: readonly DeviceIdentity[]): string | undefined {
  for (const [rank, { missing }] of identities.entries())
    if (missing !== undefined) return `rank ${rank}: ${missing}`
  const firstOf = new Map<string, number>()
  for (const [rank, { device, hardware }] of identities.entries()) {
    const other = firstOf.get(hardware)
    if (other !== undefined) return `ranks ${other} and ${rank} share ${device}`
    firstOf.set(hardware, rank)
  }
  return undefined
}
