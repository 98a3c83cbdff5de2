import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { syncPath } from '../dataset/sync-path.js'

/** Values of one part of the pool, and what computing them cost. */
export interface Chunk {
  readonly values: Float32Array
  readonly flops: number
}

/** A file of a chunk: FLOPs as a float64, then the values as float32, little endian. */
const HEADER_BYTES = 8

/**
 * Results of a long computation, a file each, which are there whole or not at all: what was computed before a process was killed is not
 * computed again.
 */
export class ChunkStore {
  /** @param folder  Made when it is not there. */
  constructor(private readonly folder: string) {
    makeFolder(folder)
  }

  /** Which of the first `count` chunks are not there whole. */
  missing(count: number): number[] {
    const isThere = (i: number): boolean =>
      isWhole(statSync(this.pathOf(i), { throwIfNoEntry: false })?.size ?? 0)
    return Array.from({ length: count }, (_, i) => i).filter((i) => !isThere(i))
  }

  /** The chunk as it was stored, or as it is computed now. */
  async take(index: number, compute: () => Promise<Chunk>): Promise<Chunk> {
    const path = this.pathOf(index)
    const stored = readChunk(path)
    if (stored) return stored
    const chunk = await compute()
    const bytes = Buffer.alloc(HEADER_BYTES + chunk.values.byteLength)
    bytes.writeDoubleLE(chunk.flops, 0)
    bytes.set(
      new Uint8Array(chunk.values.buffer, chunk.values.byteOffset, chunk.values.byteLength),
      HEADER_BYTES,
    )
    const temporary = `${path}.tmp`
    writeFileSync(temporary, bytes)
    syncPath(temporary)
    renameSync(temporary, path)
    return chunk
  }

  private pathOf(index: number): string {
    return join(this.folder, `${String(index).padStart(7, '0')}.f32`)
  }
}

const isWhole = (numBytes: number): boolean => numBytes >= HEADER_BYTES && numBytes % 4 === 0

function readChunk(path: string): Chunk | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (!isWhole(bytes.length)) return undefined
  const values = new Float32Array(bytes.length / 4 - HEADER_BYTES / 4)
  new Uint8Array(values.buffer).set(bytes.subarray(HEADER_BYTES))
  return { values, flops: bytes.readDoubleLE(0) }
}
