import type { Device } from './device.js'
import { engine } from './native.js'

/** Why groups of a device's kind cannot be opened here; undefined where they can. */
export function whyNoDeviceGroups(device: Device): string | undefined {
  const library = deviceGroupsLibrary(device)
  if (typeof library !== 'string') return library.missing
  try {
    engine().native.deviceGroupsLoad(library)
    return undefined
  } catch (error) {
    return String((error as Error).message).split('\n', 1)[0]!
  }
}

/** The library that opens groups of a device's kind, or why there is none. */
export function deviceGroupsLibrary(device: Device): string | { readonly missing: string } {
  const type = device.split(':', 1)[0]!
  return engine().deviceGroups.get(type) ?? { missing: `no groups of ${type} devices were built` }
}
