import { describeValue } from './describe-value.js'
import { suggestName } from './nearest-name.js'

/** Values of `training.device` and of `--device`. */
export const DEVICE_NAME = /^(auto|cpu|mps|cuda(:\d{1,3})?)$/

/** What other programs call a GPU, with its number behind it or alone. */
const GPU = /^(?:gpu|nvidia|cuda)?[-_: ]*(\d{1,3})?$/

/** What the name of a device must be, what came, and what was most likely meant. */
export function describeBadDevice(received: unknown): string {
  return `expected auto, cpu, cuda, cuda:N or mps, received ${describeValue(received)}${hintFor(received)}`
}

function hintFor(received: unknown): string {
  if (typeof received !== 'string' && typeof received !== 'number') return ''
  const text = String(received).trim().toLowerCase()
  const gpu = text === '' ? null : GPU.exec(text)
  if (gpu) return ` (did you mean "cuda${gpu[1] === undefined ? '' : `:${Number(gpu[1])}`}"?)`
  if (text === 'metal') return ' (did you mean "mps"?)'
  return suggestName(text, ['auto', 'cpu', 'cuda', 'mps'])
}
