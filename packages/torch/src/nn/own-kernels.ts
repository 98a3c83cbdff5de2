import type { Device } from '../device.js'
import { hasKernel } from '../dispatch.js'
import type { DType } from '../dtype.js'

const known = new Map<string, boolean>()

/** Whether an operator has a kernel for the device, asked of the engine once. */
export function knownKernel(name: string, device: Device): boolean {
  const key = `${name} ${device}`
  let has = known.get(key)
  if (has === undefined) {
    has = hasKernel(name, '', device)
    known.set(key, has)
  }
  return has
}

/** Whether a fused operator of the add-on takes these: on the CPU, float32 or bfloat16. */
export function hasOwnKernel(name: string, device: Device, ...dtypes: readonly DType[]): boolean {
  return (
    device === 'cpu' &&
    dtypes.every((dtype) => dtype === 'float32' || dtype === 'bfloat16') &&
    knownKernel(name, device)
  )
}
