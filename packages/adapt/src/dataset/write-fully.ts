import { writeSync } from 'node:fs'

/**
 * Writes all of the bytes at the place of a descriptor: one call to the system may write fewer than it is given.
 * @param write  The call; another one in tests.
 */
export function writeFully(
  descriptor: number,
  bytes: Uint8Array,
  write: (descriptor: number, bytes: Uint8Array, offset: number, length: number) => number = writeSync,
): void {
  for (let done = 0; done < bytes.length; ) {
    const count = write(descriptor, bytes, done, bytes.length - done)
    if (count === 0) throw new Error(`wrote ${done} of ${bytes.length} bytes`)
    done += count
  }
}
