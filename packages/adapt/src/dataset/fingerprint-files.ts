import { createHash } from 'node:crypto'
import type { ResolvedFile } from './document.js'
import { readBytes } from './read-bytes.js'

/**
 * SHA-256 (hex) over the names and the bytes as stored of all files, in order. Streams, so memory does not
 * grow with the files. The folder they lie in does not count, only names relative to it.
 */
export async function fingerprintFiles(files: readonly ResolvedFile[]): Promise<string> {
  const all = createHash('sha256').update('adapt-files-1\n')
  for (const file of files) {
    const one = createHash('sha256')
    for await (const chunk of readBytes({ path: file.path, name: file.name, packing: 'none' })) {
      one.update(chunk)
    }
    // A JSON line frames the name: no choice of names can look like another list of files.
    all.update(`${JSON.stringify([file.name, one.digest('hex')])}\n`)
  }
  return all.digest('hex')
}
