/**
 * Typed functions over the operators the project uses, named as in PyTorch. Anything else is reached through
 * `ops.aten.<name>`. Results belong to the current scope. A trailing underscore means in place.
 */
import type { Device } from './device.js'
import { bind, type Operator } from './dispatch.js'
import type { DType } from './dtype.js'
import { TorchError } from './errors.js'
import type { Generator } from './generator.js'
import { onednnLinear, prefersOnednnLinear } from './onednn-linear.js'
import { fromBytes, setHostCast, type Tensor, type TypedArray } from './tensor.js'

/** Element type (default float32) and device (default cpu) of a new tensor. */
export interface TensorOptions {
  readonly dtype?: DType
  readonly device?: Device
}

type Shape = readonly number[]

const one = (op: Operator, ...args: Parameters<Operator>) => op(...args) as Tensor
const many = (op: Operator, ...args: Parameters<Operator>) => op(...args) as Tensor[]

const aten = (name: string, overload = '') => bind(`aten::${name}`, overload)
const OP = {
  zeros: aten('zeros'),
  full: aten('full'),
  empty: aten('empty', 'memory_format'),
  arange: aten('arange'),
  zerosLike: aten('zeros_like'),
  emptyLike: aten('empty_like'),
  to: aten('to', 'dtype'),
  toDevice: aten('to', 'device'),
  add: aten('add', 'Tensor'),
  addScalar: aten('add', 'Scalar'),
  sub: aten('sub', 'Tensor'),
  subScalar: aten('sub', 'Scalar'),
  mul: aten('mul', 'Tensor'),
  mulScalar: aten('mul', 'Scalar'),
  div: aten('div', 'Tensor'),
  divScalar: aten('div', 'Scalar'),
  addInPlace: aten('add_', 'Tensor'),
  subInPlace: aten('sub_', 'Tensor'),
  mulInPlace: aten('mul_', 'Tensor'),
  mulScalarInPlace: aten('mul_', 'Scalar'),
  neg: aten('neg'),
  exp: aten('exp'),
  expInPlace: aten('exp_'),
  log: aten('log'),
  sin: aten('sin'),
  cos: aten('cos'),
  sqrt: aten('sqrt'),
  rsqrt: aten('rsqrt'),
  pow: aten('pow', 'Tensor_Scalar'),
  sigmoid: aten('sigmoid'),
  silu: aten('silu'),
  siluBackward: aten('silu_backward'),
  softmax: aten('softmax', 'int'),
  logSoftmax: aten('log_softmax', 'int'),
  clamp: aten('clamp'),
  where: aten('where', 'self'),
  maskedFill: aten('masked_fill', 'Scalar'),
  isfinite: aten('isfinite'),
  eq: aten('eq', 'Tensor'),
  eqScalar: aten('eq', 'Scalar'),
  ge: aten('ge', 'Scalar'),
  le: aten('le', 'Tensor'),
  logicalAnd: aten('logical_and'),
  sum: aten('sum', 'dim_IntList'),
  sumAll: aten('sum'),
  mean: aten('mean', 'dim'),
  meanAll: aten('mean'),
  all: aten('all'),
  argmax: aten('argmax'),
  norm: aten('linalg_vector_norm'),
  matmul: aten('matmul'),
  mm: aten('mm'),
  addmmInPlace: aten('addmm_'),
  bmm: aten('bmm'),
  baddbmm: aten('baddbmm'),
  linear: aten('linear'),
  embedding: aten('embedding'),
  reshape: aten('reshape'),
  view: aten('view'),
  transpose: aten('transpose', 'int'),
  permute: aten('permute'),
  contiguous: aten('contiguous'),
  unsqueeze: aten('unsqueeze'),
  squeeze: aten('squeeze', 'dim'),
  expand: aten('expand'),
  narrow: aten('narrow'),
  select: aten('select', 'int'),
  slice: aten('slice', 'Tensor'),
  chunk: aten('chunk'),
  split: aten('split_with_sizes'),
  cat: aten('cat'),
  stack: aten('stack'),
  gather: aten('gather'),
  indexSelect: aten('index_select'),
  indexAdd: aten('index_add'),
  indexCopyInPlace: aten('index_copy_'),
  scatterAddInPlace: aten('scatter_add_'),
  triu: aten('triu'),
  detach: aten('detach'),
  clone: aten('clone'),
  copyInPlace: aten('copy_'),
  zeroInPlace: aten('zero_'),
  fillInPlace: aten('fill_', 'Scalar'),
  normalInPlace: aten('normal_'),
  uniformInPlace: aten('uniform_'),
  bernoulliInPlace: aten('bernoulli_', 'float'),
  equal: aten('equal'),
  allclose: aten('allclose'),
} as const

setHostCast((tensor, dtype) => toDType(tensor, dtype))

const options = ({ dtype = 'float32', device = 'cpu' }: TensorOptions) => ({ dtype, device })

// ---- creation -------------------------------------------------------------------------------------------------

/** A tensor of zeros. */
export const zeros = (shape: Shape, opts: TensorOptions = {}) => one(OP.zeros, shape, options(opts))
/** A tensor of ones. */
export const ones = (shape: Shape, opts: TensorOptions = {}) => one(OP.full, shape, 1, options(opts))
/** A tensor that holds `value` everywhere. */
export const full = (shape: Shape, value: number, opts: TensorOptions = {}) =>
  one(OP.full, shape, value, options(opts))
/** Uninitialised memory. */
export const empty = (shape: Shape, opts: TensorOptions = {}) => one(OP.empty, shape, options(opts))
/** 0, 1, ..., end - 1; int64 unless told otherwise. */
export const arange = (end: number, { dtype = 'int64', device = 'cpu' }: TensorOptions = {}) =>
  one(OP.arange, BigInt(end), { dtype, device })
/** Zeros in the shape, dtype and device of `x`. */
export const zerosLike = (x: Tensor) => one(OP.zerosLike, x)
/** Uninitialised memory in the shape, dtype and device of `x`. */
export const emptyLike = (x: Tensor) => one(OP.emptyLike, x)

const ARRAY_DTYPES: readonly [new (n: number) => TypedArray, DType][] = [
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int32Array, 'int32'],
  [BigInt64Array, 'int64'],
  [Uint8Array, 'uint8'],
  [Int8Array, 'int8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'bfloat16'],
]

/**
 * Copies a typed array (or plain numbers, as float32) into a new tensor. A Uint16Array is read as bfloat16 bits.
 * `dtype` converts afterwards: `tensor(int32Ids, [B, T], { dtype: 'int64' })`.
 *
 * @throws {TorchError} UNKNOWN_DTYPE for another kind of array.
 */
export function tensor(data: TypedArray | readonly number[], shape: Shape, opts: TensorOptions = {}): Tensor {
  const array = Array.isArray(data) ? Float32Array.from(data as readonly number[]) : (data as TypedArray)
  const source = ARRAY_DTYPES.find(([type]) => array instanceof type)?.[1]
  if (!source)
    throw new TorchError('UNKNOWN_DTYPE', `tensor: no dtype for ${Object.prototype.toString.call(array)}`)
  const result = fromBytes(array, source, shape, opts.device)
  if (!opts.dtype || opts.dtype === source) return result
  const converted = toDType(result, opts.dtype)
  result.dispose()
  return converted
}

// ---- conversion -----------------------------------------------------------------------------------------------

/** Always a new handle; shares memory when the dtype is the same already. */
export const toDType = (x: Tensor, dtype: DType) => one(OP.to, x, dtype)
/** A copy on `device`, or a new handle to the same memory when `x` is there already. */
export const toDevice = (x: Tensor, device: Device) =>
  // A copy to the host must be complete when it is read.
  one(OP.toDevice, x, { device, dtype: x.dtype, non_blocking: device !== 'cpu' })
/** A new handle to the same memory that autograd does not follow. */
export const detach = (x: Tensor) => one(OP.detach, x)
/** A copy of the values; autograd follows it. */
export const clone = (x: Tensor) => one(OP.clone, x)
/** The values in row-major order: a new handle to the same memory where they are already, else a copy. */
export const contiguous = (x: Tensor) => one(OP.contiguous, x)

// ---- arithmetic -----------------------------------------------------------------------------------------------

/** x + y, with broadcasting. */
export const add = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.addScalar, x, y) : one(OP.add, x, y)
/** x - y, with broadcasting. */
export const sub = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.subScalar, x, y) : one(OP.sub, x, y)
/** x * y element by element, with broadcasting. */
export const mul = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.mulScalar, x, y) : one(OP.mul, x, y)
/** x / y element by element, with broadcasting; a float result for integers. */
export const div = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.divScalar, x, y) : one(OP.div, x, y)
/** x += alpha * y */
export const add_ = (x: Tensor, y: Tensor, alpha = 1) => one(OP.addInPlace, x, y, { alpha })
/** x -= y, with broadcasting of y. */
export const sub_ = (x: Tensor, y: Tensor) => one(OP.subInPlace, x, y)
/** x *= y, with broadcasting of y. */
export const mul_ = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.mulScalarInPlace, x, y) : one(OP.mulInPlace, x, y)
/** -x */
export const neg = (x: Tensor) => one(OP.neg, x)
/** e^x */
export const exp = (x: Tensor) => one(OP.exp, x)
/** x = e^x */
export const exp_ = (x: Tensor) => one(OP.expInPlace, x)
/** Natural logarithm; -Infinity at 0, NaN below. */
export const log = (x: Tensor) => one(OP.log, x)
/** Sine, radians. */
export const sin = (x: Tensor) => one(OP.sin, x)
/** Cosine, radians. */
export const cos = (x: Tensor) => one(OP.cos, x)
/** Square root; NaN below 0. */
export const sqrt = (x: Tensor) => one(OP.sqrt, x)
/** 1 / sqrt(x) */
export const rsqrt = (x: Tensor) => one(OP.rsqrt, x)
/** x to the power of a number. */
export const pow = (x: Tensor, exponent: number) => one(OP.pow, x, exponent)
/** 1 / (1 + e^-x) */
export const sigmoid = (x: Tensor) => one(OP.sigmoid, x)
/** x * sigmoid(x) */
export const silu = (x: Tensor) => one(OP.silu, x)
/** gradOutput * d silu(x) / dx */
export const siluBackward = (gradOutput: Tensor, x: Tensor) => one(OP.siluBackward, gradOutput, x)
/** e^x / sum of e^x along `dim`; computed in `dtype` when that is given. */
export const softmax = (x: Tensor, dim: number, dtype?: DType) => one(OP.softmax, x, dim, dtype)
/** log(softmax(x)) along `dim`, without overflow; computed in `dtype` when that is given. */
export const logSoftmax = (x: Tensor, dim: number, dtype?: DType) => one(OP.logSoftmax, x, dim, dtype)
/** min(max(x, min), max); null leaves that side open. */
export const clamp = (x: Tensor, min: number | null, max: number | null) => one(OP.clamp, x, min, max)

// ---- comparison -----------------------------------------------------------------------------------------------

/** x where the bool `condition` holds, y elsewhere, with broadcasting. */
export const where = (condition: Tensor, x: Tensor, y: Tensor) => one(OP.where, condition, x, y)
/** x with `value` where the bool `mask` holds; the mask broadcasts. */
export const maskedFill = (x: Tensor, mask: Tensor, value: number) => one(OP.maskedFill, x, mask, value)
/** bool: neither NaN nor infinite, element by element. */
export const isFiniteMask = (x: Tensor) => one(OP.isfinite, x)
/** bool: x = y element by element, with broadcasting. */
export const eq = (x: Tensor, y: Tensor | number) =>
  typeof y === 'number' ? one(OP.eqScalar, x, y) : one(OP.eq, x, y)
/** bool: x >= y element by element. */
export const ge = (x: Tensor, y: number) => one(OP.ge, x, y)
/** bool: x <= y element by element, with broadcasting. */
export const le = (x: Tensor, y: Tensor) => one(OP.le, x, y)
/** bool: both are not zero, element by element, with broadcasting. */
export const logicalAnd = (x: Tensor, y: Tensor) => one(OP.logicalAnd, x, y)
/** bool scalar tensor: no element is zero. */
export const all = (x: Tensor) => one(OP.all, x)
/** Same shape, dtype and bits (NaN differs from itself). */
export const equal = (x: Tensor, y: Tensor) => OP.equal(x, y) as boolean
/** Whether |x - y| <= atol + rtol |y| holds for every element. Waits for the device. */
export const allclose = (x: Tensor, y: Tensor, rtol = 1e-5, atol = 1e-8) =>
  OP.allclose(x, y, rtol, atol) as boolean

// ---- reduction ------------------------------------------------------------------------------------------------

/** Sum over `dim`, or over everything; bool and integers sum up in int64 unless `dtype` says otherwise. */
export const sum = (x: Tensor, dim?: number | readonly number[], keepdim = false, dtype?: DType) =>
  dim === undefined ? one(OP.sumAll, x, { dtype }) : one(OP.sum, x, dim, keepdim, { dtype })
/** Mean over `dim`, or over everything; floating-point tensors only. */
export const mean = (x: Tensor, dim?: number | readonly number[], keepdim = false) =>
  dim === undefined ? one(OP.meanAll, x) : one(OP.mean, x, dim, keepdim)
/** int64 index of the largest element along `dim`, which is dropped. */
export const argmax = (x: Tensor, dim: number) => one(OP.argmax, x, dim)
/** Euclidean norm over one dimension, or over everything. */
export const norm = (x: Tensor, dim?: number, keepdim = false, dtype?: DType) =>
  one(OP.norm, x, 2, dim === undefined ? undefined : [dim], keepdim, { dtype })

// ---- linear algebra -------------------------------------------------------------------------------------------

/** Matrix product over the last two dimensions, the others broadcast; vectors as in PyTorch. */
export const matmul = (x: Tensor, y: Tensor) => one(OP.matmul, x, y)
/** Matrix product [n, k] x [k, m] -> [n, m]. */
export const mm = (x: Tensor, y: Tensor) => one(OP.mm, x, y)
/** out += x @ y */
export const addmm_ = (out: Tensor, x: Tensor, y: Tensor) => one(OP.addmmInPlace, out, x, y)
/** Products of a batch of matrices: [b, n, k] x [b, k, m] -> [b, n, m]. */
export const bmm = (x: Tensor, y: Tensor) => one(OP.bmm, x, y)
/** beta * input + alpha * x @ y over a batch of matrices. */
export const baddbmm = (input: Tensor, x: Tensor, y: Tensor, { beta = 1, alpha = 1 } = {}) =>
  one(OP.baddbmm, input, x, y, { beta, alpha })
/** x @ weight^T + bias, weight [out, in]. */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor) =>
  bias === undefined && prefersOnednnLinear(x, weight)
    ? onednnLinear(x, weight)
    : one(OP.linear, x, weight, bias)
/** Rows of weight [V, D] by int64 ids of any shape. */
export const embedding = (weight: Tensor, ids: Tensor) => one(OP.embedding, weight, ids)

// ---- shape ----------------------------------------------------------------------------------------------------

/** The same elements in another shape; one size may be -1. Shares memory where the layout allows it. */
export const reshape = (x: Tensor, shape: Shape) => one(OP.reshape, x, shape)
/** `reshape` that never copies: fails where the layout does not allow it. */
export const view = (x: Tensor, shape: Shape) => one(OP.view, x, shape)
/** Swaps two dimensions; shares memory. */
export const transpose = (x: Tensor, dim0: number, dim1: number) => one(OP.transpose, x, dim0, dim1)
/** Puts the dimensions in the order of `dims`; shares memory. */
export const permute = (x: Tensor, dims: readonly number[]) => one(OP.permute, x, dims)
/** Inserts a dimension of size 1 at `dim`; shares memory. */
export const unsqueeze = (x: Tensor, dim: number) => one(OP.unsqueeze, x, dim)
/** Drops dimension `dim` if its size is 1; shares memory. */
export const squeeze = (x: Tensor, dim: number) => one(OP.squeeze, x, dim)
/** Repeats dimensions of size 1 without copying; -1 keeps a size. */
export const expand = (x: Tensor, shape: Shape) => one(OP.expand, x, shape)
/** `length` entries of dimension `dim` from `start` on; shares memory. */
export const narrow = (x: Tensor, dim: number, start: number, length: number) =>
  one(OP.narrow, x, dim, start, length)
/** Entry `index` of dimension `dim`, which is dropped; shares memory. */
export const select = (x: Tensor, dim: number, index: number) => one(OP.select, x, dim, index)
/** Entries `start` to `end - 1` of dimension `dim`, cut to what is there; shares memory. */
export const slice = (x: Tensor, dim: number, start: number, end: number) =>
  one(OP.slice, x, dim, start, end, 1)
/** At most `chunks` parts of equal size along `dim`, the last may be smaller; they share memory. */
export const chunk = (x: Tensor, chunks: number, dim: number) => many(OP.chunk, x, chunks, dim)
/** Parts of the given sizes along `dim`; they share memory. */
export const split = (x: Tensor, sizes: readonly number[], dim: number) => many(OP.split, x, sizes, dim)
/** Joins tensors along an existing dimension. */
export const cat = (tensors: readonly Tensor[], dim = 0) => one(OP.cat, tensors, dim)
/** Joins tensors of one shape along a new dimension. */
export const stack = (tensors: readonly Tensor[], dim = 0) => one(OP.stack, tensors, dim)

// ---- indexing -------------------------------------------------------------------------------------------------

/** out[i][j] = x[index[i][j]][j] for dim 0; `index` is int64 and has the shape of the result. */
export const gather = (x: Tensor, dim: number, index: Tensor) => one(OP.gather, x, dim, index)
/** The entries of dimension `dim` that the int64 vector `index` names, in its order. */
export const indexSelect = (x: Tensor, dim: number, index: Tensor) => one(OP.indexSelect, x, dim, index)
/** out = x, then out[index[i]] += source[i] along `dim`. */
export const indexAdd = (x: Tensor, dim: number, index: Tensor, source: Tensor) =>
  one(OP.indexAdd, x, dim, index, source)
/** x[index[i]] = source[i] along `dim`; `index` is an int64 vector without repetitions. */
export const indexCopy_ = (x: Tensor, dim: number, index: Tensor, source: Tensor) =>
  one(OP.indexCopyInPlace, x, dim, index, source)
/** x[index[i][j]][j] += source[i][j] for dim 0; `index` is int64 in the shape of `source`. */
export const scatterAdd_ = (x: Tensor, dim: number, index: Tensor, source: Tensor) =>
  one(OP.scatterAddInPlace, x, dim, index, source)
/** x above and on the given diagonal of the last two dimensions, 0 below. */
export const triu = (x: Tensor, diagonal = 0) => one(OP.triu, x, diagonal)

// ---- in place -------------------------------------------------------------------------------------------------

/** Overwrites x with `source`, which broadcasts and is converted. */
export const copy_ = (x: Tensor, source: Tensor) => one(OP.copyInPlace, x, source)
/** Overwrites x with zeros. */
export const zero_ = (x: Tensor) => one(OP.zeroInPlace, x)
/** Overwrites x with `value`. */
export const fill_ = (x: Tensor, value: number) => one(OP.fillInPlace, x, value)
/** Overwrites x with draws of a normal distribution; without a generator, from the global one of `manualSeed`. */
export const normal_ = (x: Tensor, mean: number, std: number, generator?: Generator) =>
  one(OP.normalInPlace, x, mean, std, { generator: generator ?? null })
/** Overwrites x with uniform draws from [from, to); without a generator, from the global one of `manualSeed`. */
export const uniform_ = (x: Tensor, from: number, to: number, generator?: Generator) =>
  one(OP.uniformInPlace, x, from, to, { generator: generator ?? null })
/** Overwrites x with 1 at a probability and 0 else; without a generator, from the global one of `manualSeed`. */
export const bernoulli_ = (x: Tensor, probability: number, generator?: Generator) =>
  one(OP.bernoulliInPlace, x, probability, { generator: generator ?? null })
