const [STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID] = Array.from(
  Array(14).keys(),
)
const MAX_DEPTH = 64

/**
 * Where a structure in Thrift's compact form ends, without making anything of it: a parser that believes the lengths in
 * it can be made to fill the memory by a few bytes.
 * @returns undefined when the bytes end before.
 * @throws {Error} for what is no such structure.
 */
export function thriftEnd(bytes: Uint8Array, start: number): number | undefined {
  const walk = new ThriftWalk(bytes, start)
  walk.structure(0)
  return walk.at <= bytes.length ? walk.at : undefined
}

class ThriftWalk {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  structure(depth: number): void {
    if (depth > MAX_DEPTH) throw new Error('a structure that is nested too deeply')
    for (;;) {
      const head = this.byte()
      const type = head & 15
      if (type === STOP || this.isPastEnd) return
      if (head >> 4 === 0) this.varint()
      if (type !== TRUE && type !== FALSE) this.value(type, depth)
    }
  }

  private get isPastEnd(): boolean {
    return this.at > this.bytes.length
  }

  private byte(): number {
    return this.bytes[this.at++] ?? 0
  }

  private skip(count: number): void {
    this.at += count
  }

  private varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
      if (shift > 63) throw new Error('a number of impossible length')
    }
  }

  private value(type: number, depth: number): void {
    switch (type) {
      case TRUE:
      case FALSE:
      case BYTE:
        this.at += 1
        return
      case I16:
      case I32:
      case I64:
        this.varint()
        return
      case DOUBLE:
        this.at += 8
        return
      case BINARY:
        this.skip(this.varint())
        return
      case UUID:
        this.at += 16
        return
      case STRUCT:
        this.structure(depth + 1)
        return
      case LIST:
      case SET:
        this.list(depth + 1)
        return
      default:
        throw new Error(type === MAP ? 'a map where there is none' : 'no structure of Thrift')
    }
  }

  private list(depth: number): void {
    const head = this.byte()
    const size = head >> 4 === 15 ? this.varint() : head >> 4
    // Each item takes a byte at least.
    if (this.at + size > this.bytes.length) {
      this.at = this.bytes.length + 1
      return
    }
    for (let i = 0; i < size && !this.isPastEnd; i++) this.value(head & 15, depth)
  }
}
