import { TorchError } from './errors.js'
import { engine, testingDeviceLibrary } from './native.js'

/** `cpu`, `cuda` or `cuda:N`, as in PyTorch. */
export type Device = string

const TYPES: Readonly<Record<string, number>> = { cpu: 0, cuda: 1, mps: 13 }

let withTestingDevice: Readonly<Record<string, number>> | undefined

/** LibTorch's numbers. That of the key for devices from elsewhere depends on the version; only tests have such a device. */
function types(): Readonly<Record<string, number>> {
  if (testingDeviceLibrary() === undefined) return TYPES
  withTestingDevice ??= { ...TYPES, privateuseone: engine().native.info().privateUse1 }
  return withTestingDevice
}

/** LibTorch's (device type, index); index -1 is "the current one". */
export function parseDevice(device: Device): { type: number; index: number } {
  const match = /^([a-z]+)(?::(\d+))?$/.exec(device)
  const type = match && isDevice(device) ? types()[match[1]!] : undefined
  if (type === undefined)
    throw new TorchError('UNKNOWN_DEVICE', `unknown device "${device}": expected cpu, cuda or cuda:N`)
  return { type, index: match![2] === undefined ? -1 : Number(match![2]) }
}

export function isDevice(name: string): boolean {
  const match = /^([a-z]+)(?::\d+)?$/.exec(name)
  return match !== null && Object.hasOwn(types(), match[1]!)
}

export function deviceName(type: number, index: number): Device {
  const name = Object.entries(types()).find(([, number]) => number === type)?.[0] ?? `device${type}`
  return name === 'cpu' || index < 0 ? name : `${name}:${index}`
}

/** Where parameters are made that nobody said a device for: the CPU, except where tests run once more on another. */
export function defaultDevice(): Device {
  return process.env.ADAPT_TORCH_TESTING_DEFAULT_DEVICE || 'cpu'
}
