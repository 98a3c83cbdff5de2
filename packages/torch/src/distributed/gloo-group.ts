import { setTimeout as sleep } from 'node:timers/promises'
import { noGrad } from '../autograd.js'
import { dtypeOf, itemBytes, scalarTypeOf } from '../dtype.js'
import { TorchError, wrapError } from '../errors.js'
import { engine } from '../native.js'
import { copy_, detach, narrow, view, zeros } from '../ops.js'
import { scope } from '../scope.js'
import { fromBytes, type Tensor } from '../tensor.js'
import { type EndOfJob, explainFailure, hasLastWords, leaveLastWords, waitForReaders } from './end-of-job.js'
import {
  disagreement,
  FRAME_BYTES,
  type Frame,
  hashNumbers,
  MAX_DIMENSIONS,
  type Operation,
  PAYLOAD_BYTES,
  readFrame,
  writeFrame,
} from './frame.js'
import type { Launch } from './launch-environment.js'
import { hasEnded, type Member } from './members.js'
import { PeerError } from './peer-error.js'
import type { ProcessGroup } from './process-group.js'
import type { Rendezvous } from './rendezvous.js'
import { inRuns, product, type Run } from './tensor-runs.js'

/** Gloo's address where all ranks are on one machine. */
const LOOPBACK = '127.0.0.1'
const LEAVE_MS = 5_000
/** Between two looks at who has come to a meeting: at first, and at most. */
const [FIRST_LOOK_MS, LAST_LOOK_MS] = [5, 250]
/** How long a rank that ends waits for what its buckets have sent. */
const CLOSE_MS = 500

/** What ranks must have in common to sum gradients in buckets. */
interface BucketLayout {
  readonly parameters: readonly Tensor[]
  readonly capBytes: number
  readonly bytes: number
}

/** Ranks as processes that Gloo connects, each with every other. */
export class GlooGroup implements ProcessGroup {
  readonly backend = 'gloo'
  readonly launch: Launch
  readonly rank: number
  readonly worldSize: number
  readonly members: readonly Member[]
  bytesSent = 0
  waitedMs = 0
  private readonly job: EndOfJob
  private readonly timeoutMs: number
  /** The engine's number of the group, and of the groups of gradient buckets by that of the buckets. */
  private readonly group: number
  private readonly bucketGroups = new Map<number, number>()
  private numBucketGroups = 0
  private readonly host: string
  private readonly interfaces: string
  private readonly scratch: Uint8Array
  private readonly received: Uint8Array
  private sequence = 0
  private meetings = 0
  private failure: PeerError | undefined

  constructor(launch: Launch, met: Rendezvous, timeoutMs: number, interfaces: string) {
    this.launch = launch
    this.rank = launch.rank
    this.worldSize = launch.worldSize
    this.members = met.members
    this.timeoutMs = timeoutMs
    this.job = { rank: launch.rank, members: met.members, store: met.store, storeRank: met.storeRank }
    const here = met.members[launch.rank]!
    this.host = met.members.every(({ network }) => network === here.network) ? LOOPBACK : ''
    this.interfaces = interfaces
    this.group = this.connect('gloo')
    this.scratch = new Uint8Array(FRAME_BYTES)
    this.received = new Uint8Array(FRAME_BYTES * launch.worldSize)
  }

  /** Connects every rank with every other, apart from what is connected already. */
  private connect(name: string): number {
    const { native } = engine()
    const store = this.job.store.openPrefix(`${name}/`)
    try {
      return native.groupOpen(store, this.rank, this.worldSize, this.timeoutMs, this.host, this.interfaces)
    } finally {
      native.storeClose(store)
    }
  }

  allReduceSum(tensors: readonly Tensor[]): void {
    if (tensors.length === 0) return
    this.together(() => {
      const shapes = tensors.map((tensor) => tensor.shape)
      const dtypes = tensors.map((tensor) => tensor.dtype)
      const bytes = shapes.map((shape, i) => product(shape) * itemBytes(dtypes[i]!))
      this.announce('sum', {
        scalarType: scalarTypeOf(dtypes[0]!),
        argument: tensors.length,
        bytes: bytes.reduce((a, b) => a + b, 0),
        shape: shapes[0]!,
        hash: hashNumbers(shapes.flatMap((shape, i) => [scalarTypeOf(dtypes[i]!), shape.length, ...shape])),
      })
      for (const run of inRuns(tensors, dtypes, bytes)) scope(() => this.sumRun(run))
    })
  }

  allGather(tensor: Tensor): Tensor[] {
    return this.together(() =>
      scope(() => {
        const { dtype, device, shape } = tensor
        if (shape.length > MAX_DIMENSIONS)
          throw new TorchError(
            'BAD_ARGUMENT',
            `allGather: ${shape.length} dimensions, at most ${MAX_DIMENSIONS} travel`,
          )
        const bytes = product(shape) * itemBytes(dtype)
        const frames = this.announce('gather', { scalarType: scalarTypeOf(dtype), bytes, shape })
        const largest = Math.max(...frames.map((frame) => frame.bytes))
        const length = largest / itemBytes(dtype)
        const numel = product(shape)
        const mine = zeros([length], { dtype })
        if (numel > 0) copy_(view(narrow(mine, 0, 0, numel), shape), tensor)
        const all = zeros([this.worldSize * length], { dtype })
        if (largest > 0) this.gatherPieces(mine, all, largest)
        return frames.map((frame, r) => {
          const own = view(narrow(all, 0, r * length, product(frame.shape)), frame.shape)
          const copy = zeros(frame.shape, { dtype, device })
          if (product(frame.shape) > 0) copy_(copy, own)
          return copy
        })
      }),
    )
  }

  broadcast(tensor: Tensor, source: number): void {
    this.together(() =>
      scope(() => {
        const { dtype, shape } = tensor
        const bytes = product(shape) * itemBytes(dtype)
        this.announce('broadcast', {
          ...{ scalarType: scalarTypeOf(dtype), argument: source, bytes, shape },
          hash: hashNumbers([shape.length, ...shape]),
        })
        if (bytes === 0) return
        const onHost = zeros(shape, { dtype })
        if (this.rank === source) copy_(onHost, tensor)
        transport(() => engine().native.broadcastFrom(this.group, onHost.handle, source))
        if (this.rank === source) this.bytesSent += bytes * (this.worldSize - 1)
        else copy_(detach(tensor), onHost)
      }),
    )
  }

  allReduceNumbers(values: readonly number[]): number[] {
    const total = new Array<number>(values.length).fill(0)
    const all = this.together(() => {
      const mine = new Uint8Array(Float64Array.from(values).buffer)
      return this.collect('sum', mine, { scalarType: scalarTypeOf('float64'), shape: [values.length] })
    })
    for (const bytes of all) for (const [i, value] of numbersOf(bytes).entries()) total[i]! += value
    return total
  }

  gatherNumbers(values: readonly number[]): number[][] {
    const mine = new Uint8Array(Float64Array.from(values).buffer)
    return this.together(() => this.collect('numbers', mine, {})).map((bytes) => Array.from(numbersOf(bytes)))
  }

  gatherText(text: string): string[] {
    const decoder = new TextDecoder()
    return this.together(() => this.collect('text', new TextEncoder().encode(text), {})).map((bytes) =>
      decoder.decode(bytes),
    )
  }

  barrier(): void {
    this.together(() => this.announce('barrier', {}))
  }

  async meet(): Promise<void> {
    const key = `meet/${this.meetings++}`
    this.together(() => this.asked(() => this.job.store.add(key, 1)))
    for (let wait = FIRST_LOOK_MS; ; wait = Math.min(2 * wait, LAST_LOOK_MS)) {
      const isOver = this.together(() =>
        this.asked(() => {
          if (this.job.store.add(key, 0) >= this.worldSize) return true
          this.requireNoneGone()
          return false
        }),
      )
      if (isOver) return
      await sleep(wait)
    }
  }

  requirePeers = (): void => this.together(() => this.asked(() => this.requireNoneGone()))

  private requireNoneGone(): void {
    const self = this.members[this.rank]!
    const isGone = (member: Member, rank: number) => hasEnded(member, self) || hasLastWords(this.job, rank)
    const gone = this.members.findIndex((member, rank) => rank !== this.rank && isGone(member, rank))
    if (gone >= 0) throw new Error(`rank ${gone} ended before it came`)
  }

  /** What goes wrong at the store is explained as a failed transport is. */
  private asked<T>(question: () => T): T {
    try {
      return question()
    } catch (error) {
      throw new TransportFailure('the store failed', { cause: error })
    }
  }

  fail({ code, message }: { readonly code: string; readonly message: string }): void {
    if (this.failure !== undefined) return
    this.failure = new PeerError('PEER_FAILED', `this rank failed: ${code}: ${message}`, this.rank)
    leaveLastWords(this.job, { own: true, code, message })
    try {
      // The others notice when the connections close; the store must answer them for as long as they ask.
      for (const buckets of [...this.bucketGroups.keys()]) this.closeBuckets(buckets)
      engine().native.groupClose(this.group)
      waitForReaders(this.job)
    } catch {
      // What the caller reports is its own error.
    }
  }

  async leave(): Promise<void> {
    this.together(() => this.announce('leave', {}))
    this.failure = new PeerError('PEER_FAILED', 'this process group was left')
    const { store, storeRank } = this.job
    const until = performance.now() + LEAVE_MS
    const all = async (key: string) => {
      store.add(key, 1, LEAVE_MS)
      while (performance.now() < until && store.add(key, 0, LEAVE_MS) < this.worldSize) await sleep(2)
    }
    try {
      // No connection closes while somebody may still read from it, and the store goes last.
      await all('left')
      for (const buckets of [...this.bucketGroups.keys()]) this.closeBuckets(buckets)
      engine().native.groupClose(this.group)
      if (storeRank === this.rank) await all('closed')
      else store.add('closed', 1, LEAVE_MS)
    } catch {
      // Its host was faster: the job is done all the same.
    }
    store.close()
  }

  /**
   * Gradient buckets on connections of their own: what they send in the background meets none of the collectives of a step. Their layout is
   * compared once, so every transfer afterwards has equal sizes.
   *
   * @param make  The engine's buckets on that group.
   */
  openBuckets(layout: BucketLayout, make: (group: number) => number): number {
    return this.together(() => {
      const { parameters, capBytes, bytes } = layout
      const shapes = parameters.flatMap(({ dtype, shape }) => [scalarTypeOf(dtype), shape.length, ...shape])
      this.announce('buckets', {
        argument: parameters.length,
        bytes,
        hash: hashNumbers([capBytes, ...shapes]),
      })
      const group = transport(() => this.connect(`buckets-${this.numBucketGroups++}`))
      const buckets = make(group)
      this.bucketGroups.set(buckets, group)
      return buckets
    })
  }

  /** Frees the engine's buckets and, where nothing is under way, their connections. */
  closeBuckets(buckets: number): void {
    const { native } = engine()
    const group = this.bucketGroups.get(buckets)
    this.bucketGroups.delete(buckets)
    if (native.bucketsClose(buckets, CLOSE_MS) && group !== undefined) native.groupClose(group)
  }

  /** Runs what moves so many bytes to other ranks by a group of buckets. */
  transfer<T>(bytes: number, action: () => T): T {
    return this.together(() => {
      const result = transport(action)
      this.bytesSent += bytes
      return result
    })
  }

  /** `all` [worldSize * piece] from everyone's `piece`, which are of one size. On the CPU. */
  gatherEqual(piece: Tensor, all: Tensor): void {
    this.together(() => {
      const { dtype, shape } = piece
      const bytes = product(shape) * itemBytes(dtype)
      this.announce('pieces', { scalarType: scalarTypeOf(dtype), bytes, shape })
      this.gatherPieces(piece, all, bytes)
    })
  }

  /** Runs a part of a collective; what goes wrong in it is explained once and ends the group. */
  private together<T>(action: () => T): T {
    if (this.failure !== undefined) throw this.failure
    const start = performance.now()
    try {
      return noGrad(action)
    } catch (error) {
      if (error instanceof PeerError) this.failure = error
      else if (error instanceof TransportFailure)
        this.failure = explainFailure(this.job, error.cause, this.timeoutMs)
      throw this.failure ?? error
    } finally {
      this.waitedMs += performance.now() - start
    }
  }

  /** Everyone's frames, all of the same collective. @throws {PeerError} PEER_MISMATCH */
  private announce(operation: Operation, fields: Partial<Frame>): Frame[] {
    const frame: Frame = {
      ...{ operation, sequence: this.sequence++ },
      ...{ scalarType: 0, argument: 0, bytes: 0, hash: 0, shape: [], payload: NOTHING },
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
  private collect(operation: Operation, mine: Uint8Array, fields: Partial<Frame>): Uint8Array[] {
    const payload = mine.length <= PAYLOAD_BYTES ? mine : NOTHING
    const frames = this.announce(operation, { ...fields, bytes: mine.length, payload })
    const largest = Math.max(...frames.map((frame) => frame.bytes))
    if (largest <= PAYLOAD_BYTES) return frames.map((frame) => frame.payload)
    return scope(() => {
      const padded = new Uint8Array(largest)
      padded.set(mine)
      const piece = fromBytes(padded, 'uint8', [largest])
      const all = zeros([largest * this.worldSize], { dtype: 'uint8' })
      this.gatherPieces(piece, all, largest)
      const bytes = new Uint8Array(largest * this.worldSize)
      engine().native.toHost(all.handle, bytes)
      return frames.map((frame, r) => bytes.slice(r * largest, r * largest + frame.bytes))
    })
  }

  private gatherPieces(piece: Tensor, all: Tensor, bytes: number): void {
    transport(() => engine().native.gatherPieces(this.group, piece.handle, all.handle))
    this.bytesSent += bytes * (this.worldSize - 1)
  }

  /** Sums tensors of one dtype as one buffer. */
  private sumRun({ tensors, dtype, numel }: Run): void {
    const length = Math.ceil(numel / this.worldSize)
    const buffer = zeros([length * this.worldSize], { dtype })
    let at = 0
    const parts = tensors.map((tensor) => {
      const { shape } = tensor
      const start = at
      at += product(shape)
      return { tensor: detach(tensor), part: view(narrow(buffer, 0, start, product(shape)), shape) }
    })
    for (const { tensor, part } of parts) copy_(part, tensor)
    transport(() => engine().native.sumOverRanks(this.group, buffer.handle))
    this.bytesSent += 2 * length * itemBytes(dtype) * (this.worldSize - 1)
    for (const { tensor, part } of parts) copy_(tensor, part)
  }
}

/** What the engine threw while it moved data: a matter of the other side. Errors of this side keep their codes. */
class TransportFailure extends Error {}

function transport<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    const { code } = error as { readonly code?: string }
    if (code !== 'TORCH_ERROR') throw wrapError(error, 'process group')
    throw new TransportFailure('the transport failed', { cause: error })
  }
}

const NOTHING = new Uint8Array(0)

function numbersOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(bytes.slice().buffer)
}
