import { readSync } from 'node:fs'

const CHUNK_BYTES = 1 << 16
/** Far above any event we write; a longer line is damage, and must not fill the memory. */
export const MAX_EVENT_BYTES = 16 << 20
const NEWLINE = 0x0a

/** A line of the log with the offsets that a truncation needs. */
export interface EventLine {
  /** Without the newline. Cut at MAX_EVENT_BYTES + 1 bytes when longer. */
  readonly bytes: Uint8Array
  /** 1-based. */
  readonly number: number
  readonly begin: number
  /** First offset after the line and its newline. */
  readonly end: number
  /** False for the last line of a file whose final newline is missing. */
  readonly terminated: boolean
}

/** The lines of an open file from its start, in constant memory. */
export function* readEventLines(descriptor: number): Generator<EventLine> {
  let parts: Uint8Array[] = []
  let length = 0
  let begin = 0
  let number = 1
  let position = 0
  const keep = (piece: Uint8Array): void => {
    const room = MAX_EVENT_BYTES + 1 - length
    if (piece.length > 0 && room > 0) parts.push(piece.subarray(0, room))
    length += piece.length
  }
  for (;;) {
    // A new chunk each time: what is left of a line at its end is still referred to.
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    const read = readSync(descriptor, chunk, 0, CHUNK_BYTES, position)
    if (read === 0) break
    const filled = chunk.subarray(0, read)
    let from = 0
    let newline = filled.indexOf(NEWLINE)
    while (newline >= 0) {
      keep(filled.subarray(from, newline))
      from = newline + 1
      const end = position + from
      yield { bytes: Buffer.concat(parts), number, begin, end, terminated: true }
      parts = []
      length = 0
      begin = end
      number++
      newline = filled.indexOf(NEWLINE, from)
    }
    keep(filled.subarray(from))
    position += read
  }
  if (length > 0) yield { bytes: Buffer.concat(parts), number, begin, end: position, terminated: false }
}
