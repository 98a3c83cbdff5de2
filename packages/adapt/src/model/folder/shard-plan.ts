import { ConfigError } from '../../errors.js'
import { shardName, WEIGHTS_FILE } from '../../hub/index.js'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/**
 * Bytes of a size as Hugging Face writes it: `5GB`, `200MB`, `1GiB`, or a number of bytes.
 * @throws {ConfigError} BAD_SHARD_SIZE
 */
export function parseShardSize(size: number | string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(String(size).trim())
  const unit = match && UNITS[match[2]!.toUpperCase()]
  const bytes = match && unit ? Math.floor(Number(match[1]) * unit) : 0
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes
  throw new ConfigError(
    'BAD_SHARD_SIZE',
    `max_shard_size: expected a size such as 5GB or 200MB, received ${JSON.stringify(size)}`,
  )
}

/** The files of a model and what goes into each. */
export interface ShardPlan {
  /** File name to the names of its tensors, in order. */
  readonly files: ReadonlyMap<string, readonly string[]>
  /** Bytes of all tensors. */
  readonly totalBytes: number
}

/** Fills files in the order of the tensors, none larger than `maxBytes` unless it holds a single tensor that is. */
export function planShards(sizes: ReadonlyMap<string, number>, maxBytes: number): ShardPlan {
  const shards: string[][] = []
  let current: string[] = []
  let [bytes, totalBytes] = [0, 0]
  for (const [name, size] of sizes) {
    if (current.length > 0 && bytes + size > maxBytes) {
      shards.push(current)
      current = []
      bytes = 0
    }
    current.push(name)
    bytes += size
    totalBytes += size
  }
  shards.push(current)
  const nameOf = (i: number) => (shards.length === 1 ? WEIGHTS_FILE : shardName(i + 1, shards.length))
  return { files: new Map(shards.map((names, i) => [nameOf(i), names])), totalBytes }
}
