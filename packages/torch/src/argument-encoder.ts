import { parseDevice } from './device.js'
import { isDType, scalarTypeOf } from './dtype.js'
import { TorchError } from './errors.js'
import { Generator } from './generator.js'
import type { ArgumentInfo } from './native.js'
import { Tensor } from './tensor.js'

/** Tags of one argument in the shared buffer; must match `Tag` in native/dispatch.cpp. */
export const TAG = {
  default: 0,
  none: 1,
  tensor: 2,
  number: 3,
  integer: 4,
  bool: 5,
  numberList: 6,
  tensorList: 7,
  string: 8,
  device: 9,
  generator: 10,
} as const

/** A value an operator takes. `bigint` is an integer scalar; `null` is None; `undefined` is the default. */
export type Argument =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | Generator
  | null
  | undefined
  | readonly (Tensor | null)[]
  | readonly number[]
  | readonly boolean[]

/** Enumerations by argument kind and PyTorch's name of the value. */
export const ENUMS: Record<string, Record<string, number>> = {
  layout: { strided: 0 },
  memory_format: { contiguous: 0, preserve: 1, channels_last: 2 },
}

/** Writes one call's arguments into the shared buffer, in schema order. */
export class ArgumentEncoder {
  private readonly buffer: Float64Array
  private position = 0
  strings: string[] | undefined

  constructor(buffer: Float64Array) {
    this.buffer = buffer
  }

  get length(): number {
    return this.position
  }

  private put(value: number): void {
    if (this.position >= this.buffer.length)
      throw new TorchError('BUFFER_TOO_SMALL', 'argument lists are longer than the shared buffer')
    this.buffer[this.position++] = value
  }

  private put2(tag: number, value: number): void {
    this.put(tag)
    this.put(value)
  }

  encode(value: Argument, info: ArgumentInfo): void {
    if (value instanceof Tensor) this.put2(TAG.tensor, value.handle)
    else if (value === undefined) this.put(TAG.default)
    else if (value === null) this.put(TAG.none)
    else if (typeof value === 'number') this.put2(TAG.number, value)
    else if (typeof value === 'boolean') this.put2(TAG.bool, value ? 1 : 0)
    else if (typeof value === 'bigint') this.encodeInteger(value, info)
    else if (typeof value === 'string') this.encodeString(value, info)
    else if (value instanceof Generator) this.put2(TAG.generator, value.id)
    else if (Array.isArray(value)) this.encodeList(value, info)
    else throw wrongArgument(info, typeof value)
  }

  /** Two halves, because a double cannot hold every int64. */
  private encodeInteger(value: bigint, info: ArgumentInfo): void {
    if (BigInt.asIntN(64, value) !== value) throw wrongArgument(info, `${value} (beyond int64)`)
    this.put(TAG.integer)
    this.put2(Number(value >> 32n), Number(value & 0xffffffffn))
  }

  private encodeString(value: string, info: ArgumentInfo): void {
    const option = info.kind === 'dtype' && isDType(value) ? scalarTypeOf(value) : ENUMS[info.kind]?.[value]
    if (option !== undefined) this.put2(TAG.number, option)
    else if (info.kind === 'device') {
      const { type, index } = parseDevice(value)
      this.put(TAG.device)
      this.put2(type, index)
    } else if (info.kind === 'string') {
      this.strings ??= []
      this.strings.push(value)
      this.put2(TAG.string, this.strings.length - 1)
    } else throw wrongArgument(info, JSON.stringify(value))
  }

  private encodeList(list: readonly (Tensor | null | number | boolean)[], info: ArgumentInfo): void {
    const ofTensors = info.kind === 'tensor[]' || info.kind === 'tensor?[]'
    this.put2(ofTensors ? TAG.tensorList : TAG.numberList, list.length)
    for (const item of list) {
      if (!ofTensors) {
        if (typeof item !== 'number' && typeof item !== 'boolean')
          throw new TorchError(
            'BAD_ARGUMENT',
            `argument \`${info.name}\`: expected ${info.kind}, received a list with ${item === null ? 'null' : typeof item}`,
          )
        this.put(Number(item))
      } else if (item instanceof Tensor) this.put(item.handle)
      else if (item === null && info.kind === 'tensor?[]') this.put(-1)
      else
        throw new TorchError(
          'BAD_ARGUMENT',
          `argument \`${info.name}\`: expected ${info.kind}, received a list with ${typeof item}`,
        )
    }
  }
}

function wrongArgument(info: ArgumentInfo, received: string): TorchError {
  return new TorchError(
    'BAD_ARGUMENT',
    `argument \`${info.name}\`: expected ${info.kind}, received ${received}`,
  )
}
