import { type Device, deviceName, parseDevice } from './device.js'
import { type DType, dtypeOf, scalarTypeOf } from './dtype.js'
import { rethrow, TorchError } from './errors.js'
import { engine } from './native.js'

/** Arrays whose bytes a tensor can take over; Uint16Array stands for the bits of bfloat16. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array

/**
 * A handle to a LibTorch tensor. The memory belongs to the scope in which the tensor was made (see `scope`);
 * outside every scope the owner calls `dispose`. Using a freed tensor throws TENSOR_DISPOSED.
 */
export class Tensor {
  /** Index and generation in the native table; meaningful only to the engine. */
  readonly handle: number

  constructor(handle: number) {
    this.handle = handle
    leakRegistry?.register(this, handle)
  }

  /** What the native table knows of this tensor, in the shared buffer. */
  private meta(): Float64Array {
    const { native, buffer } = engine()
    try {
      native.meta(this.handle)
    } catch (error) {
      rethrow(error, 'tensor')
    }
    return buffer
  }

  /** Sizes of the dimensions; `[]` for a scalar. */
  get shape(): number[] {
    const meta = this.meta()
    return Array.from(meta.subarray(6, 6 + meta[5]!))
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1)
  }

  /** Element type. */
  get dtype(): DType {
    return dtypeOf(this.meta()[0]!)
  }

  /** Where the memory is: `cpu`, `cuda:0` ... */
  get device(): Device {
    const meta = this.meta()
    return deviceName(meta[1]!, meta[2]!)
  }

  /** Whether backward computes a gradient for it. */
  get requiresGrad(): boolean {
    return this.meta()[3] !== 0
  }

  /** Returns this. A computed tensor always requires a gradient: switching it off throws NOT_A_LEAF. */
  setRequiresGrad(value = true): this {
    try {
      engine().native.setRequiresGrad(this.handle, value)
    } catch (error) {
      rethrow(error, 'setRequiresGrad')
    }
    return this
  }

  /** A new handle to the accumulated gradient, or undefined. */
  get grad(): Tensor | undefined {
    try {
      const handle = engine().native.getGrad(this.handle)
      return handle < 0 ? undefined : new Tensor(handle)
    } catch (error) {
      return rethrow(error, 'grad')
    }
  }

  set grad(gradient: Tensor | undefined) {
    try {
      engine().native.setGrad(this.handle, gradient ? gradient.handle : -1)
    } catch (error) {
      rethrow(error, 'grad')
    }
  }

  /** Whether the handle was freed, by `dispose` or by the end of its scope. */
  get isDisposed(): boolean {
    return !engine().native.isLive(this.handle)
  }

  /** Frees this handle now. May be called twice. */
  dispose(): void {
    engine().native.release(this.handle)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Takes the tensor out of every scope: it lives until `dispose`. For parameters and optimizer state. */
  persist(): this {
    try {
      engine().native.escape(this.handle)
    } catch (error) {
      rethrow(error, 'persist')
    }
    return this
  }

  /** The single element as a number (bool as 0 or 1). Waits for the device. */
  item(): number {
    try {
      return engine().native.item(this.handle)
    } catch (error) {
      return rethrow(error, 'item')
    }
  }

  /** Copies to the host as float32; other dtypes are converted. */
  toFloat32Array(): Float32Array {
    return this.copyOut('float32', Float32Array)
  }

  /** Copies to the host as float64; other dtypes are converted. */
  toFloat64Array(): Float64Array {
    return this.copyOut('float64', Float64Array)
  }

  /** Copies to the host as int32; other dtypes are converted. */
  toInt32Array(): Int32Array {
    return this.copyOut('int32', Int32Array)
  }

  /** Copies an int64 tensor to the host. */
  toBigInt64Array(): BigInt64Array {
    return this.copyOut('int64', BigInt64Array)
  }

  /** Copies the bit patterns of a bfloat16 or float16 tensor to the host. @throws {TorchError} TYPE_ERROR for another dtype. */
  toRawUint16Array(): Uint16Array {
    const dtype = this.dtype
    if (dtype !== 'bfloat16' && dtype !== 'float16')
      throw new TorchError('TYPE_ERROR', `raw 16-bit copy of a ${dtype} tensor`)
    return this.copyOut(dtype, Uint16Array)
  }

  private copyOut<T extends TypedArray>(dtype: DType, type: new (length: number) => T): T {
    const out = new type(this.numel)
    const converted = this.dtype === dtype ? undefined : castForHost(this, dtype)
    try {
      engine().native.toHost((converted ?? this).handle, out)
    } catch (error) {
      rethrow(error, 'copy to the host')
    } finally {
      converted?.dispose()
    }
    return out
  }

  /** Fills this tensor with `nbytes` of a file, starting at `offset`, without passing through JS memory. */
  readFromFile(fd: number, offset: number): void {
    try {
      engine().native.readFile(this.handle, fd, offset)
    } catch (error) {
      rethrow(error, 'readFromFile', { offset })
    }
  }

  /** Writes the tensor's bytes (contiguous, little-endian) to a file at `offset`; returns how many. */
  writeToFile(fd: number, offset: number): number {
    try {
      return engine().native.writeFile(this.handle, fd, offset)
    } catch (error) {
      return rethrow(error, 'writeToFile', { offset })
    }
  }

  /** dtype, shape and device; reads no element. */
  toString(): string {
    return this.isDisposed
      ? 'Tensor(disposed)'
      : `Tensor(${this.dtype}[${this.shape.join(', ')}], ${this.device})`
  }
}

let castForHost: (tensor: Tensor, dtype: DType) => Tensor = () => {
  throw new TorchError('ENGINE_ORDER', 'the operators are not loaded')
}

/** Wired by ops.ts, which needs Tensor first. */
export function setHostCast(cast: typeof castForHost): void {
  castForHost = cast
}

const leakRegistry =
  process.env.ADAPT_TORCH_LEAKS === '1'
    ? new FinalizationRegistry<number>((handle) => {
        if (engine().native.isLive(handle))
          process.emitWarning(`a tensor was collected without dispose (handle ${handle})`)
      })
    : undefined

/** Writes a shape into the shared buffer and makes a tensor from the array's bytes. The array may change afterwards. */
export function fromBytes(
  array: TypedArray,
  dtype: DType,
  shape: readonly number[],
  device: Device = 'cpu',
): Tensor {
  const { native, buffer } = engine()
  const { type, index } = parseDevice(device)
  try {
    buffer.set(shape)
    return new Tensor(native.fromHost(array, scalarTypeOf(dtype), shape.length, type, index))
  } catch (error) {
    return rethrow(error, 'fromBytes', { dtype, shape })
  }
}
