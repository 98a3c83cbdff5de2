import { TorchError } from './errors.js'

/** Element types by their PyTorch names; the numbers are LibTorch's ScalarType. */
const SCALAR_TYPES = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  bool: 11,
  bfloat16: 15,
} as const

/** Name of an element type, as in PyTorch. */
export type DType = keyof typeof SCALAR_TYPES

const NAMES = new Map<number, DType>(Object.entries(SCALAR_TYPES).map(([name, id]) => [id, name as DType]))
const ITEM_BYTES: Record<DType, number> = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
}

/** LibTorch's number of a dtype. */
export function scalarTypeOf(dtype: DType): number {
  const id = SCALAR_TYPES[dtype]
  if (id === undefined) throw new TorchError('UNKNOWN_DTYPE', `unknown dtype "${String(dtype)}"`)
  return id
}

/** Whether a text names an element type. */
export function isDType(name: string): name is DType {
  return Object.hasOwn(SCALAR_TYPES, name)
}

export function dtypeOf(scalarType: number): DType {
  const name = NAMES.get(scalarType)
  if (!name)
    throw new TorchError('UNKNOWN_DTYPE', `LibTorch scalar type ${scalarType} has no TypeScript name`)
  return name
}

/** Bytes of one element. */
export function itemBytes(dtype: DType): number {
  return ITEM_BYTES[dtype]
}

/** Whether the element type holds fractions; only those can require a gradient. */
export function isFloating(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'bfloat16' || dtype === 'float64' || dtype === 'float16'
}
