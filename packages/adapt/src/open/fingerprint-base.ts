import { createHash } from 'node:crypto'
import { closeSync, fstatSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { openRegular } from '../dataset/regular-file.js'
import { resolveModelPath } from '../hub/index.js'
import { hasWeights, isAdapterFolder } from '../model/index.js'

const BLOCK_BYTES = 64 * 1024
const NUM_BLOCKS = 64

/**
 * Tells the frozen model under an adapter from another one: a checkpoint holds the adapter alone. Names, sizes and 64
 * evenly spread blocks of each weight file, the header among them: reading all of a large model would take minutes.
 * @returns SHA-256 (hex); empty for a model that is trained itself.
 */
export function fingerprintBase({ model }: RunConfig, baseDir: string): string {
  if (!('path' in model) || (model.lora === undefined && model.adapter === undefined)) return ''
  return fingerprintModel(model.path, baseDir)
}

/** The same of any folder of a model or an adapter; empty where it has no weights. */
export function fingerprintModel(path: string, baseDir: string): string {
  const folder = resolveModelPath(baseDir, path)
  // What is missing is said, and better, by whoever loads the model.
  if (!hasWeights(folder) && !isAdapterFolder(folder)) return ''
  const hash = createHash('sha256')
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith('.safetensors')) hashSample(join(folder, name), name, hash)
  }
  return hash.digest('hex')
}

function hashSample(path: string, name: string, hash: ReturnType<typeof createHash>): void {
  const handle = openRegular(path)
  try {
    const { size } = fstatSync(handle)
    hash.update(`${name} ${size}\n`)
    const last = Math.max(0, size - BLOCK_BYTES)
    const block = Buffer.alloc(BLOCK_BYTES)
    for (let i = 0; i < NUM_BLOCKS; i++) {
      const numRead = readSync(handle, block, 0, BLOCK_BYTES, Math.floor((last * i) / (NUM_BLOCKS - 1)))
      hash.update(block.subarray(0, numRead))
    }
  } finally {
    closeSync(handle)
  }
}
