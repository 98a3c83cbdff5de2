import { dtypeOf } from '../dtype.js'
import { engine } from '../native.js'
import { zeros } from '../ops.js'
import { scope } from '../scope.js'
import { fromBytes } from '../tensor.js'
import {
  disagreement,
  FRAME_BYTES,
  type Frame,
  type Operation,
  PAYLOAD_BYTES,
  readFrame,
  writeFrame,
} from './frame.js'
import { PeerError } from './peer-error.js'
import { transport } from './transport.js'

/** What ranks tell each other before they exchange tensors, and contents of the host's. Goes over the host whatever device tensors are on. */
export class ControlPlane {
  bytesSent = 0
  private readonly group: number
  private readonly worldSize: number
  private readonly scratch = new Uint8Array(FRAME_BYTES)
  private readonly received: Uint8Array
  private sequence = 0

  /** @param group  The engine's number of a Gloo group. */
  constructor(group: number, worldSize: number) {
    this.group = group
    this.worldSize = worldSize
    this.received = new Uint8Array(FRAME_BYTES * worldSize)
  }

  /** Everyone's frames, all of the same collective. @throws {PeerError} PEER_MISMATCH */
  announce(operation: Operation, fields: Partial<Frame>): Frame[] {
    const frame: Frame = {
      ...{ operation, sequence: this.sequence++ },
      ...{ scalarType: 0, argument: 0, bytes: 0, onDevice: 0, hash: 0, shape: [], payload: NOTHING },
      ...fields,
    }
    writeFrame(frame, this.scratch)
    const bytes = new Uint8Array(this.received.length)
    for (let rank = 0; rank < this.worldSize; rank++) bytes.set(this.scratch, rank * FRAME_BYTES)
    scope(() => {
      const sent = fromBytes(bytes, 'uint8', [bytes.length])
      const received = zeros([bytes.length], { dtype: 'uint8' })
      transport(() => engine().native.exchange(this.group, sent.handle, received.handle))
      engine().native.toHost(received.handle, this.received)
    })
    this.bytesSent += FRAME_BYTES * (this.worldSize - 1)
    const frames = Array.from({ length: this.worldSize }, (_, r) =>
      readFrame(this.received.slice(r * FRAME_BYTES, (r + 1) * FRAME_BYTES)),
    )
    const found = disagreement(frames, dtypeOf)
    if (found !== undefined) throw new PeerError('PEER_MISMATCH', found.message, found.ranks[0])
    return frames as Frame[]
  }

  /** Everyone's bytes: within the frames where they fit. */
  collect(operation: Operation, mine: Uint8Array, fields: Partial<Frame> = {}): Uint8Array[] {
    const payload = mine.length <= PAYLOAD_BYTES ? mine : NOTHING
    const frames = this.announce(operation, { ...fields, bytes: mine.length, payload })
    const largest = Math.max(...frames.map((frame) => frame.bytes))
    if (largest <= PAYLOAD_BYTES) return frames.map((frame) => frame.payload)
    return scope(() => {
      const padded = new Uint8Array(largest)
      padded.set(mine)
      const piece = fromBytes(padded, 'uint8', [largest])
      const all = zeros([largest * this.worldSize], { dtype: 'uint8' })
      transport(() => engine().native.gatherPieces(this.group, piece.handle, all.handle))
      this.bytesSent += largest * (this.worldSize - 1)
      const bytes = new Uint8Array(largest * this.worldSize)
      engine().native.toHost(all.handle, bytes)
      return frames.map((frame, r) => bytes.slice(r * largest, r * largest + frame.bytes))
    })
  }

  /** Everyone's text. */
  collectText(operation: Operation, text: string): string[] {
    const decoder = new TextDecoder()
    return this.collect(operation, new TextEncoder().encode(text)).map((bytes) => decoder.decode(bytes))
  }
}

const NOTHING = new Uint8Array(0)
