import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'

const skippedFolders = new Set(['node_modules', 'dist', 'build', '.git'])

/** Every file under `folder` that `accept(path)` takes, sorted, build outputs and packages left out. */
export function listFiles(folder, accept) {
  if (!existsSync(folder)) return []
  const files = []
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) {
      if (!skippedFolders.has(entry.name)) files.push(...listFiles(file, accept))
    } else if (accept(file)) files.push(file)
  }
  return files.sort()
}

/** SHA-256 in hexadecimal of a value's JSON (or of a Buffer as it is). */
export function hashOf(value) {
  const hash = createHash('sha256')
  hash.update(Buffer.isBuffer(value) ? value : JSON.stringify(value))
  return hash.digest('hex')
}

/** What identifies a file's content: its SHA-256. */
export function contentHash(file) {
  return hashOf(readFileSync(file))
}

/** What identifies a large or often checked file cheaply: its real path, size and time of change. */
export function fileIdentity(file) {
  const real = realpathSync(file)
  const { size, mtimeMs } = statSync(real)
  return [real, size, Math.floor(mtimeMs)]
}

export function readStamp(file) {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Writes a file whole or not at all, so a second set-up running at the same time never reads half of it. */
export function writeWhole(file, text) {
  mkdirSync(path.dirname(file), { recursive: true })
  const temporary = `${file}.${process.pid}.tmp`
  writeFileSync(temporary, text)
  renameSync(temporary, file)
}
