import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { type SafetensorsEntry, SafetensorsFile, type Tensor, TorchError } from '@adapt-ts/torch'
import { printable } from '../../dataset/index.js'
import { ConfigError, HostileFileError } from '../../errors.js'
import { INDEX_FILE, WEIGHTS_FILE } from '../../hub/index.js'
import { readModelJson } from '../dimensions/read-model-json.js'
import { describeMissingModel } from '../dimensions/refuse-model.js'

/** Largest index that is read; those of the largest models have some 10 MB. */
const MAX_INDEX_BYTES = 1 << 26
const MAX_SHARDS = 10_000
/** A plain file name: no folder, no hidden file, no control character. */
const SHARD_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors$/

/** Whether a folder holds weights that `WeightFiles` opens. */
export function hasWeights(folder: string): boolean {
  return existsSync(join(folder, WEIGHTS_FILE)) || existsSync(join(folder, INDEX_FILE))
}

/** The weights of a model folder: one file, or an index and its shards, whose headers are all checked when opened. */
export class WeightFiles {
  private constructor(
    /** The file that a message names: model.safetensors, or the index. */
    readonly path: string,
    private readonly files: readonly SafetensorsFile[],
    private readonly fileOf: ReadonlyMap<string, SafetensorsFile>,
  ) {}

  /**
   * @throws {ConfigError} MODEL_NOT_FOUND. @throws {HostileFileError} BAD_SHARDS, BAD_MODEL_CONFIG, SAFETENSORS_ codes.
   */
  static open(folder: string): WeightFiles {
    const single = join(folder, WEIGHTS_FILE)
    if (existsSync(single)) return WeightFiles.of(single, [openTensorFile(single)])
    const path = join(folder, INDEX_FILE)
    const index = readModelJson(path, MAX_INDEX_BYTES)
    if (index === undefined) throw new ConfigError('MODEL_NOT_FOUND', describeMissingModel(folder))
    const shardOf = readWeightMap(index, path)
    const files: SafetensorsFile[] = []
    try {
      for (const name of new Set(shardOf.values()))
        files.push(openTensorFile(requireShard(folder, name, path)))
      requireBijection(files, shardOf, path)
      requireTotalSize(index, files, path)
      return WeightFiles.of(path, files)
    } catch (error) {
      for (const file of files) file.close()
      throw error
    }
  }

  private static of(path: string, files: readonly SafetensorsFile[]): WeightFiles {
    const fileOf = new Map(files.flatMap((file) => file.names.map((name) => [name, file] as const)))
    return new WeightFiles(path, files, fileOf)
  }

  /** Names of all tensors, shard by shard. */
  get names(): string[] {
    return [...this.fileOf.keys()]
  }

  /**
   * dtype and shape of a tensor.
   * @throws {ConfigError} UNSUPPORTED_MODEL for a dtype that tensors cannot have here: quantised weights.
   */
  entry(name: string): SafetensorsEntry {
    const file = this.fileOf.get(name)!
    try {
      return file.entry(name)!
    } catch (error) {
      if (!(error instanceof TorchError)) throw error
      throw new ConfigError(
        'UNSUPPORTED_MODEL',
        `${printable(error.message, 400)}; expected float32, float16 or bfloat16`,
        {},
        { cause: error },
      )
    }
  }

  /**
   * Fills `target` from the file; other floating-point dtypes are converted piece by piece.
   * @throws {TorchError} NO_SUCH_TENSOR, SHAPE_MISMATCH
   */
  readInto(name: string, target: Tensor): void {
    const file = this.fileOf.get(name)
    if (file === undefined) throw new TorchError('NO_SUCH_TENSOR', `${this.path}: no tensor "${name}"`)
    file.readInto(name, target, { convert: true })
  }

  /** Values of a floating-point tensor as float32. */
  floats(name: string): Float32Array {
    const values = new Float32Array(this.entry(name).shape.reduce((product, size) => product * size, 1))
    let at = 0
    for (const piece of this.fileOf.get(name)!.readPieces(name)) {
      values.set(piece, at)
      at += piece.length
    }
    return values
  }

  /** Whether two tensors have the same shape and values, whatever they are stored in; reads them piece by piece. */
  isSame(one: string, other: string): boolean {
    if (`${this.entry(one).shape}` !== `${this.entry(other).shape}`) return false
    const pieces = this.fileOf.get(other)!.readPieces(other)
    for (const piece of this.fileOf.get(one)!.readPieces(one)) {
      const values = pieces.next().value!
      if (!piece.every((value, i) => value === values[i])) return false
    }
    return true
  }

  [Symbol.dispose](): void {
    for (const file of this.files) file.close()
  }
}

/**
 * Opens a file of tensors so that what is wrong with its header names it.
 * @throws {HostileFileError} codes that begin with SAFETENSORS_
 */
export function openTensorFile(path: string): SafetensorsFile {
  try {
    return new SafetensorsFile(path)
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    if (typeof code !== 'string' || !code.startsWith('SAFETENSORS_')) throw error
    const said = printable(message, 400)
    throw new HostileFileError(code, `${printable(path)}: ${said}`, { path }, { cause: error })
  }
}

function badShards(path: string, problem: string): HostileFileError {
  return new HostileFileError('BAD_SHARDS', `${printable(path)}: ${problem}`, { path })
}

function readWeightMap(index: Readonly<Record<string, unknown>>, path: string): ReadonlyMap<string, string> {
  const map = index.weight_map
  if (map === null || typeof map !== 'object' || Array.isArray(map) || Object.keys(map).length === 0) {
    throw badShards(path, 'expected "weight_map", an object of tensor names and files')
  }
  const shardOf = new Map<string, string>()
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || shard.length > 255 || !SHARD_NAME.test(shard)) {
      const shown = printable(JSON.stringify(shard) ?? '', 80)
      throw badShards(
        path,
        `weight_map: ${printable(tensor, 80)}: expected the name of a .safetensors file in this folder, received ${shown}`,
      )
    }
    shardOf.set(tensor, shard)
  }
  const numShards = new Set(shardOf.values()).size
  if (numShards > MAX_SHARDS)
    throw badShards(path, `expected at most ${MAX_SHARDS} files, found ${numShards}`)
  return shardOf
}

/** The shard's path: in the folder itself, or where the hub's cache links to. */
function requireShard(folder: string, name: string, index: string): string {
  const path = join(folder, name)
  if (!existsSync(path)) {
    throw new ConfigError(
      'MODEL_NOT_FOUND',
      `${printable(path)}: no such file, but ${INDEX_FILE} names it; the model was copied or fetched in part`,
    )
  }
  const home = realpathSync(folder)
  const target = realpathSync(path)
  // In the hub's cache, snapshots/<commit>/<file> is a link into blobs/ two levels up.
  const isSnapshot = basename(dirname(home)) === 'snapshots'
  const blobs = join(dirname(dirname(home)), 'blobs')
  if (target.startsWith(home + sep) || (isSnapshot && target.startsWith(blobs + sep))) return path
  throw badShards(index, `${name} is a link out of the folder`)
}

/** Every tensor of the index in the shard it names, and every tensor of a shard in the index. */
function requireBijection(
  files: readonly SafetensorsFile[],
  shardOf: ReadonlyMap<string, string>,
  path: string,
): void {
  let numFound = 0
  for (const file of files) {
    const shard = basename(file.path)
    for (const name of file.names) {
      if (shardOf.get(name) !== shard) {
        const expected = shardOf.get(name)
        const said = expected === undefined ? 'the index does not name it' : `the index says ${expected}`
        throw badShards(path, `${printable(name, 80)} is in ${shard}, but ${said}`)
      }
      numFound++
    }
  }
  if (numFound === shardOf.size) return
  const there = new Set(files.flatMap((file) => file.names))
  const missing = [...shardOf].find(([name]) => !there.has(name))!
  throw badShards(path, `${printable(missing[0], 80)} is not in ${missing[1]}, which the index says`)
}

/** The size that an index states is off in some old repositories, but not by much. */
function requireTotalSize(
  index: Readonly<Record<string, unknown>>,
  files: readonly SafetensorsFile[],
  path: string,
): void {
  const stated = (index.metadata as { readonly total_size?: unknown } | undefined | null)?.total_size
  if (typeof stated !== 'number') return
  const actual = files.reduce((sum, file) => sum + file.dataBytes, 0)
  if (stated <= 2 * actual && actual <= 2 * stated) return
  throw badShards(path, `metadata.total_size says ${stated} bytes of weights, the files hold ${actual}`)
}
