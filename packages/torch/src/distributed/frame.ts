import { nameRanks } from './peer-error.js'

/**
 * What every collective begins with: each rank says in a message of fixed size what it is about to do, so that ranks that do different things
 * learn of it before their buffers meet. Small contents ride along.
 */
export interface Frame {
  readonly operation: Operation
  /** Collectives of this group so far. */
  readonly sequence: number
  /** LibTorch's number of the element type. */
  readonly scalarType: number
  /** Tensors of a sum; source of a broadcast. */
  readonly argument: number
  readonly bytes: number
  /** 1 where tensors travel from device to device, 0 over the host. */
  readonly onDevice: number
  readonly shape: readonly number[]
  /** Of the shapes, where there are several. */
  readonly hash: number
  /** The contents themselves where they fit. */
  readonly payload: Uint8Array
}

const OPERATIONS = [
  'sum',
  'gather',
  'broadcast',
  'numbers',
  'text',
  'barrier',
  'buckets',
  'pieces',
  'device',
  'leave',
] as const
export type Operation = (typeof OPERATIONS)[number]

/** float64 values before the payload; the last of them are the sizes of the dimensions. */
const HEADER = 17
const SHAPE_AT = 9
export const MAX_DIMENSIONS = HEADER - SHAPE_AT
/** Bytes of a frame, and of the contents that fit in it. */
export const FRAME_BYTES = 512
export const PAYLOAD_BYTES = FRAME_BYTES - HEADER * 8
const MAGIC = 0xada9_0001

/** @param target  FRAME_BYTES at a multiple of 8 bytes. */
export function writeFrame(frame: Frame, target: Uint8Array): void {
  const header = new Float64Array(target.buffer, target.byteOffset, HEADER)
  header.set([
    MAGIC,
    frame.sequence,
    OPERATIONS.indexOf(frame.operation),
    frame.scalarType,
    frame.argument,
    frame.bytes,
    frame.onDevice,
    frame.hash,
    Math.min(frame.shape.length, MAX_DIMENSIONS),
    ...frame.shape.slice(0, MAX_DIMENSIONS),
  ])
  target.set(frame.payload, HEADER * 8)
}

/** The frame in `source`; undefined where its bytes are of something else. Its payload is a part of `source`. */
export function readFrame(source: Uint8Array): Frame | undefined {
  const header = new Float64Array(source.buffer, source.byteOffset, HEADER)
  const [magic, sequence, operation, scalarType, argument, bytes, onDevice, hash, dims] =
    header as unknown as number[]
  if (magic !== MAGIC) return undefined
  return {
    operation: OPERATIONS[operation!]!,
    sequence: sequence!,
    scalarType: scalarType!,
    argument: argument!,
    bytes: bytes!,
    onDevice: onDevice!,
    hash: hash!,
    shape: Array.from(header.subarray(SHAPE_AT, SHAPE_AT + dims!)),
    payload: source.subarray(HEADER * 8, HEADER * 8 + Math.min(bytes!, PAYLOAD_BYTES)),
  }
}

/** Sizes may differ between ranks. */
const UNEVEN: ReadonlySet<Operation> = new Set(['gather', 'numbers', 'text', 'device'])

function keyOf(frame: Frame | undefined): string {
  if (frame === undefined) return 'unknown'
  const { operation, sequence, scalarType, argument, onDevice, bytes, hash } = frame
  return [
    operation,
    sequence,
    scalarType,
    argument,
    onDevice,
    ...(UNEVEN.has(operation) ? [] : [bytes, hash]),
  ].join()
}

/** Ranks that do something other than most, and one line on who does what; undefined when all do the same. */
export function disagreement(
  frames: readonly (Frame | undefined)[],
  dtypeName: (scalarType: number) => string,
): { readonly ranks: readonly number[]; readonly message: string } | undefined {
  const groups = new Map<string, number[]>()
  for (const [rank, frame] of frames.entries()) {
    const key = keyOf(frame)
    groups.set(key, [...(groups.get(key) ?? []), rank])
  }
  if (groups.size === 1) return undefined
  const bySize = [...groups.values()].sort((a, b) => b.length - a.length || a[0]! - b[0]!)
  const parts = bySize.map((ranks) => `${nameRanks(ranks)}: ${describe(frames[ranks[0]!], dtypeName)}`)
  return { ranks: bySize.slice(1).flat(), message: `the ranks do not do the same: ${parts.join('; ')}` }
}

function describe(frame: Frame | undefined, dtypeName: (scalarType: number) => string): string {
  if (frame === undefined) return 'an unknown message'
  const { operation, sequence, argument, bytes, onDevice, scalarType, shape } = frame
  const size = `${bytes.toLocaleString('en')} bytes of ${dtypeName(scalarType)}`
  const what: Record<Operation, () => string> = {
    sum: () => `sum of ${argument === 1 ? `[${shape.join(', ')}]` : `${argument} tensors`}, ${size}`,
    gather: () => `gather of ${dtypeName(scalarType)}`,
    broadcast: () => `broadcast from rank ${argument} of [${shape.join(', ')}], ${size}`,
    numbers: () => 'exchange of numbers',
    text: () => 'exchange of text',
    barrier: () => 'barrier',
    buckets: () => `gradient buckets of ${argument} parameters, ${bytes.toLocaleString('en')} bytes`,
    pieces: () => `gather of [${shape.join(', ')}], ${size}`,
    device: () => 'first use of a device',
    leave: () => 'end of the job',
  }
  return `${what[operation]()}${onDevice ? ' from device to device' : ''} (call ${sequence})`
}

/** 52 bits of FNV-1a over whole numbers: tells lists of shapes apart. */
export function hashNumbers(values: Iterable<number>): number {
  let low = 0x811c9dc5
  let high = 0x01000193
  for (const value of values) {
    low = Math.imul(low ^ (value | 0), 0x01000193)
    high = Math.imul(high ^ Math.floor(value / 2 ** 32) ^ low, 0x85ebca6b)
  }
  return (low >>> 0) + (high >>> 12) * 2 ** 32
}
