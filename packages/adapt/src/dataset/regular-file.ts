import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

/**
 * Opens a regular file for reading. A pipe or a device in its place is an error at once; an ordinary open would wait for
 * someone to write into the pipe.
 */
export function openRegular(path: string): number {
  const descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    if (!fstatSync(descriptor).isFile()) throw new Error(`not a regular file, ${path}`)
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** All bytes of a regular file; see {@link openRegular}. */
export function readRegular(path: string): Buffer {
  const descriptor = openRegular(path)
  try {
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
