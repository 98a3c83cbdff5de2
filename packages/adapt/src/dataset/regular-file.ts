import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { HostileFileError } from '../errors.js'
import { printable } from './printable.js'

/**
 * Opens a regular file for reading. A folder, pipe, socket or device in its place is an error at once; an ordinary open
 * would wait for someone to write into the pipe.
 * @throws {HostileFileError} NOT_A_FILE. Errors of the system for what cannot be opened.
 */
export function openRegular(path: string): number {
  let descriptor: number
  try {
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    // A socket, or a device that is not there.
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') throw notAFile(path, 'a socket')
    throw error
  }
  try {
    const found = fstatSync(descriptor)
    if (!found.isFile()) throw notAFile(path, kindOf(found))
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder'
  return found.isFIFO() ? 'a pipe' : 'a device'
}

function notAFile(path: string, found: string): HostileFileError {
  return new HostileFileError('NOT_A_FILE', `${printable(path)}: not a regular file but ${found}`, { path })
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
