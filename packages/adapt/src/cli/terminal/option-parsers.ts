import { InvalidArgumentError, Option } from 'commander'
import { DEVICE_NAME, describeBadDevice } from '../../method/device-name.js'

/** Parser of an option that takes a whole number of at least `min`. */
export function wholeNumberOption(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`Expected a whole number >= ${min}.`)
    }
    return value
  }
}

/** The same, or the word `auto`. */
export function wholeNumberOrAutoOption(min: number): (text: string) => number | 'auto' {
  const whole = wholeNumberOption(min)
  return (text) => {
    if (text === 'auto') return text
    try {
      return whole(text)
    } catch {
      throw new InvalidArgumentError(`Expected a whole number >= ${min} or auto.`)
    }
  }
}

/** Parser of an option that takes a number within `min` .. `max`. */
export function numberOption(min: number, max = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (!(value >= min && value <= max) || !Number.isFinite(value)) {
      const range = max === Number.POSITIVE_INFINITY ? `>= ${min}` : `from ${min} to ${max}`
      throw new InvalidArgumentError(`Expected a number ${range}.`)
    }
    return value
  }
}

/** Parser of an option that takes the first and the last of some steps, counted from 1: `5-9`. */
export function stepRangeOption(text: string): { readonly first: number; readonly last: number } {
  const found = /^(\d{1,15})-(\d{1,15})$/.exec(text)
  const [first, last] = [Number(found?.[1]), Number(found?.[2])]
  if (!(first >= 1 && last >= first)) {
    throw new InvalidArgumentError('Expected the first and the last step, e.g. 5-9.')
  }
  return { first, last }
}

/** Parser of an option that may be given several times. */
export function collectOption(text: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), text]
}

/** Parser of an option that takes names with commas between them, and may be given several times. */
export function listOption(text: string, earlier: readonly string[] | undefined): readonly string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('Expected names with commas between them.')
  return [...(earlier ?? []), ...names]
}

/** Of `--set`. */
export const SET_HELP = 'set a config key, e.g. training.seed=3 (value as YAML; repeatable)'

/** `--dtype`, of the weights of a model. */
export function dtypeOption(fallback: string): Option {
  return new Option('--dtype <dtype>', 'of the weights; auto: as they are stored')
    .choices(['auto', 'float32', 'bfloat16'])
    .default(fallback)
}

/** `--device`, where the model is. */
export function deviceOption(what = 'where the model runs'): Option {
  return new Option(
    '--device <device>',
    `${what}: auto (CUDA where it can be used), cpu, cuda, cuda:N or mps`,
  ).argParser((text) => {
    if (DEVICE_NAME.test(text)) return text
    const problem = describeBadDevice(text)
    throw new InvalidArgumentError(`${problem[0]!.toUpperCase()}${problem.slice(1)}.`)
  })
}

/** Assignments of the command line to keys of a config; `--device` is one to `training.device`. */
export function assignments({
  set = [],
  device,
}: {
  readonly set?: readonly string[]
  readonly device?: string
}): readonly string[] {
  return device === undefined ? set : [...set, `training.device=${device}`]
}
