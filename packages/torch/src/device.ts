import { TorchError } from './errors.js'

/** `cpu`, `cuda` or `cuda:N`, as in PyTorch. */
export type Device = string

const TYPES: Record<string, number> = { cpu: 0, cuda: 1, mps: 13 }

/** LibTorch's (device type, index); index -1 is "the current one". */
export function parseDevice(device: Device): { type: number; index: number } {
  const match = /^([a-z]+)(?::(\d+))?$/.exec(device)
  const type = match && isDevice(device) ? TYPES[match[1]!] : undefined
  if (type === undefined)
    throw new TorchError('UNKNOWN_DEVICE', `unknown device "${device}": expected cpu, cuda or cuda:N`)
  return { type, index: match![2] === undefined ? -1 : Number(match![2]) }
}

export function isDevice(name: string): boolean {
  const match = /^([a-z]+)(?::\d+)?$/.exec(name)
  return match !== null && Object.hasOwn(TYPES, match[1]!)
}

export function deviceName(type: number, index: number): Device {
  const name = Object.keys(TYPES).find((key) => TYPES[key] === type) ?? `device${type}`
  return name === 'cpu' || index < 0 ? name : `${name}:${index}`
}
