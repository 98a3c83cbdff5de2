/** One line without its 0x0A, or one record that is not a line. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Line on which a record begins that is counted otherwise, from 1. */
  readonly fileLine?: number
  /** Offset of the first byte in the stream. */
  readonly byteOffset: number
  readonly bytes: Buffer
}

/** The lines of one chunk; empty ones are only counted, so that millions of them cost nothing. */
export interface LineGroup {
  readonly lines: readonly Line[]
  readonly numEmpty: number
}

/** Longest line that is read; a longer one is an error before it is held in memory. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024

/**
 * Cuts a byte stream at 0x0A and nothing else: a CR, U+2028 or U+0085 stays in its line. Lines come in
 * groups, one group per chunk, because awaiting each line alone is what would cost the time. A last line
 * without a 0x0A counts; an empty rest does not.
 *
 * @param onTooLong  Throws the error for a line of more than `maxBytes` bytes.
 */
export async function* splitLines(
  chunks: AsyncIterable<Buffer>,
  onTooLong: (line: { readonly number: number; readonly byteOffset: number }) => never,
  maxBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<LineGroup, void, undefined> {
  let number = 1
  let byteOffset = 0
  let carried: Buffer[] = []
  let numCarried = 0
  const take = (tail: Buffer): Line => {
    if (numCarried + tail.length > maxBytes) {
      onTooLong({ number, byteOffset })
    }
    const bytes = carried.length === 0 ? tail : Buffer.concat([...carried, tail])
    const line = { number, byteOffset, bytes }
    number += 1
    byteOffset += bytes.length + 1
    carried = []
    numCarried = 0
    return line
  }
  for await (const chunk of chunks) {
    const lines: Line[] = []
    let start = 0
    let numEmpty = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      lines.push(take(chunk.subarray(start, end)))
      start = end + 1
      while (chunk[start] === 0x0a) {
        start += 1
        number += 1
        byteOffset += 1
        numEmpty += 1
      }
    }
    if (start < chunk.length) {
      carried.push(chunk.subarray(start))
      numCarried += chunk.length - start
      if (numCarried > maxBytes) {
        onTooLong({ number, byteOffset })
      }
    }
    if (lines.length > 0) {
      yield { lines, numEmpty }
    }
  }
  if (numCarried > 0) {
    yield { lines: [take(Buffer.alloc(0))], numEmpty: 0 }
  }
}
