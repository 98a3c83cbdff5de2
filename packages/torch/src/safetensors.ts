import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs'
import { noGrad } from './autograd.js'
import type { Device } from './device.js'
import { type DType, isFloating, itemBytes } from './dtype.js'
import { TorchError } from './errors.js'
import { copy_, empty, narrow, reshape, toDType, view } from './ops.js'
import { SafetensorsError } from './safetensors-error.js'
import { buildSafetensorsHeader, parseSafetensorsHeader, readHeaderLength } from './safetensors-header.js'
import { scope } from './scope.js'
import type { Tensor } from './tensor.js'

/** Most elements that are converted at a time: 8 MB of float32. */
const CHUNK = 1 << 21

/** dtype names of the file format and ours. */
const FILE_DTYPES: Readonly<Record<string, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
}

const FILE_NAMES = new Map(Object.entries(FILE_DTYPES).map(([file, dtype]) => [dtype, file]))

/** What the header says of one tensor. */
export interface SafetensorsEntry {
  readonly dtype: DType
  readonly shape: readonly number[]
}

/** An open safetensors file: the header is checked in full before any tensor is read. */
export class SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>
  private fd: number
  private readonly dataStart: number
  private readonly entries: ReturnType<typeof parseSafetensorsHeader>['tensors']

  /** @throws SafetensorsError with a code that begins with SAFETENSORS_ when the file is damaged or hostile. */
  constructor(readonly path: string) {
    this.fd = openForReading(path)
    try {
      const stats = fstatSync(this.fd)
      if (!stats.isFile()) throw notAFile()
      const fileBytes = stats.size
      const prefix = new Uint8Array(8)
      const got = readSync(this.fd, prefix, 0, 8, 0)
      const headerBytes = readHeaderLength(prefix.subarray(0, got), fileBytes)
      const header = new Uint8Array(headerBytes)
      readSync(this.fd, header, 0, headerBytes, 8)
      this.dataStart = 8 + headerBytes
      const parsed = parseSafetensorsHeader(header, { dataBytes: fileBytes - this.dataStart })
      this.entries = parsed.tensors
      this.metadata = parsed.metadata
    } catch (error) {
      closeSync(this.fd)
      throw error
    }
  }

  /** Bytes of all tensors. */
  get dataBytes(): number {
    let bytes = 0
    for (const { begin, end } of this.entries.values()) bytes += end - begin
    return bytes
  }

  /** Names of the tensors in the order of the header. */
  get names(): string[] {
    return [...this.entries.keys()]
  }

  /**
   * dtype and shape of a tensor; undefined when there is none of that name.
   * @throws {TorchError} UNSUPPORTED_DTYPE
   */
  entry(name: string): SafetensorsEntry | undefined {
    const found = this.entries.get(name)
    return found && { dtype: this.dtypeOf(name, found.dtype), shape: found.shape }
  }

  private dtypeOf(name: string, fileDtype: string): DType {
    const dtype = FILE_DTYPES[fileDtype]
    if (!dtype)
      throw new TorchError(
        'UNSUPPORTED_DTYPE',
        `${this.path}: tensor "${name}" has dtype ${fileDtype}, which is not supported`,
      )
    return dtype
  }

  /**
   * Reads one tensor. Belongs to the current scope.
   * @throws {TorchError} NO_SUCH_TENSOR, UNSUPPORTED_DTYPE, FILE_IO
   */
  read(name: string, device: Device = 'cpu'): Tensor {
    const found = this.entries.get(name)
    if (!found) throw new TorchError('NO_SUCH_TENSOR', `${this.path}: no tensor "${name}"`)
    const tensor = empty(found.shape, { dtype: this.dtypeOf(name, found.dtype), device })
    if (found.end > found.begin) tensor.readFromFile(this.fd, this.dataStart + found.begin)
    return tensor
  }

  /**
   * Fills `target` (same shape and dtype) straight from the file. With `convert`, floating-point values of another dtype
   * are rounded to that of the target, at most 8 MB of them at a time.
   * @throws {TorchError} NO_SUCH_TENSOR, SHAPE_MISMATCH, UNSUPPORTED_DTYPE, FILE_IO
   */
  readInto(name: string, target: Tensor, { convert = false }: { readonly convert?: boolean } = {}): void {
    const found = this.entries.get(name)
    if (!found) throw new TorchError('NO_SUCH_TENSOR', `${this.path}: no tensor "${name}"`)
    const dtype = this.dtypeOf(name, found.dtype)
    const shape = target.shape
    const isSame = dtype === target.dtype
    if (
      !(isSame || (convert && isFloating(dtype) && isFloating(target.dtype))) ||
      shape.length !== found.shape.length ||
      shape.some((n, i) => n !== found.shape[i])
    ) {
      throw new TorchError(
        'SHAPE_MISMATCH',
        `${this.path}: "${name}" is ${dtype}[${found.shape}], expected ${target.dtype}[${shape}]`,
      )
    }
    if (found.end === found.begin) return
    const start = this.dataStart + found.begin
    if (isSame) target.readFromFile(this.fd, start)
    else noGrad(() => scope(() => this.readConverted(target, dtype, start)))
  }

  private readConverted(target: Tensor, dtype: DType, start: number): void {
    const numel = target.numel
    const flat = view(target, [numel])
    // Where the target is: fewer bytes travel, and its device rounds them.
    const chunk = empty([Math.min(CHUNK, numel)], { dtype, device: target.device })
    for (let at = 0; at < numel; at += CHUNK) {
      scope(() => {
        const length = Math.min(CHUNK, numel - at)
        const part = narrow(chunk, 0, 0, length)
        part.readFromFile(this.fd, start + at * itemBytes(dtype))
        copy_(narrow(flat, 0, at, length), part)
      })
    }
  }

  /**
   * Values of a floating-point tensor as float32, in order, at most 2M of them at a time.
   * @throws {TorchError} NO_SUCH_TENSOR, UNSUPPORTED_DTYPE, FILE_IO
   */
  *readPieces(name: string): Generator<Float32Array, undefined> {
    const found = this.entries.get(name)
    if (!found) throw new TorchError('NO_SUCH_TENSOR', `${this.path}: no tensor "${name}"`)
    const dtype = this.dtypeOf(name, found.dtype)
    const numel = found.shape.reduce((product, size) => product * size, 1)
    for (let at = 0; at < numel; at += CHUNK) {
      yield scope(() => {
        const part = empty([Math.min(CHUNK, numel - at)], { dtype })
        part.readFromFile(this.fd, this.dataStart + found.begin + at * itemBytes(dtype))
        return part.toFloat32Array()
      })
    }
  }

  /** May be called twice. Reading afterwards throws FILE_IO. */
  close(): void {
    if (this.fd >= 0) closeSync(this.fd)
    this.fd = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function openForReading(path: string): number {
  try {
    // Without O_NONBLOCK a pipe would keep the process waiting for someone who writes to it.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') throw notAFile()
    throw error
  }
}

function notAFile(): SafetensorsError {
  const said = 'expected a regular file, found a folder, pipe, socket or device'
  return new SafetensorsError('SAFETENSORS_NOT_A_FILE', said)
}

/** What {@link writeSafetensors} does besides writing tensors as they are. */
export interface WriteSafetensorsOptions {
  /** dtype of floating-point tensors in the file. Those of another are converted, at most 8 MB of them at a time. */
  readonly dtype?: DType
}

/**
 * Writes tensors in the given order and waits until they are on the disk (fsync).
 * @param metadata Text values kept in the header, for instance { format: 'pt' } as transformers expects.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
  options: WriteSafetensorsOptions = {},
): void {
  const dtypeInFile = ({ dtype }: Tensor) => (isFloating(dtype) ? (options.dtype ?? dtype) : dtype)
  const entries = Array.from(tensors, ([name, tensor]) => {
    const dtype = dtypeInFile(tensor)
    const fileDtype = FILE_NAMES.get(dtype)
    if (!fileDtype) throw new TorchError('UNSUPPORTED_DTYPE', `cannot write "${name}": dtype ${dtype}`)
    const shape = tensor.shape
    return { name, dtype: fileDtype, shape, nbytes: tensor.numel * itemBytes(dtype) }
  })
  const header = buildSafetensorsHeader(entries, metadata)
  const fd = openSync(path, 'w')
  try {
    writeSync(fd, header)
    let offset = header.length
    for (const tensor of tensors.values()) offset += writeData(fd, offset, tensor, dtypeInFile(tensor))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The bytes of one tensor at `offset`; returns how many. */
function writeData(fd: number, offset: number, tensor: Tensor, dtype: DType): number {
  const numel = tensor.numel
  if (numel === 0) return 0
  if (tensor.dtype === dtype) return tensor.writeToFile(fd, offset)
  let written = 0
  const convert = () => {
    const flat = reshape(tensor, [numel])
    for (let at = 0; at < numel; at += CHUNK) {
      scope(() => {
        const part = toDType(narrow(flat, 0, at, Math.min(CHUNK, numel - at)), dtype)
        written += part.writeToFile(fd, offset + written)
      })
    }
  }
  noGrad(() => scope(convert))
  return written
}
