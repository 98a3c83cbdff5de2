import { TorchError } from './errors.js'
import { engine } from './native.js'

/** `cpu`, `cuda` or `cuda:N`, as in PyTorch. */
export type Device = string

const NAME = /^([a-z]+)(?::(\d+))?$/

/** LibTorch's (device type, index); index -1 is "the current one". */
export function parseDevice(device: Device): { type: number; index: number } {
  const match = NAME.exec(device)
  const type = match ? engine().deviceTypes.get(match[1]!) : undefined
  if (type === undefined)
    throw new TorchError('UNKNOWN_DEVICE', `unknown device "${device}": expected cpu, cuda or cuda:N`)
  return { type, index: match![2] === undefined ? -1 : Number(match![2]) }
}

export function isDevice(name: string): boolean {
  const match = NAME.exec(name)
  return match !== null && engine().deviceTypes.has(match[1]!)
}

export function deviceName(type: number, index: number): Device {
  const name = nameOf(type)
  return name === 'cpu' || index < 0 ? name : `${name}:${index}`
}

function nameOf(type: number): string {
  for (const [name, number] of engine().deviceTypes) if (number === type) return name
  return `device${type}`
}

/** Where parameters are made that nobody said a device for: the CPU, except where tests run once more on another. */
export function defaultDevice(): Device {
  return process.env.ADAPT_TORCH_TESTING_DEFAULT_DEVICE || 'cpu'
}
