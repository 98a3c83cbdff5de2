import { setTimeout as sleep } from 'node:timers/promises'
import { noGrad } from '../autograd.js'
import { type DType, dtypeOf, itemBytes, scalarTypeOf } from '../dtype.js'
import { TorchError } from '../errors.js'
import { engine } from '../native.js'
import { copy_, detach, narrow, view, zeros } from '../ops.js'
import { scope } from '../scope.js'
import { fromBytes, type Tensor } from '../tensor.js'
import { type Collective, singleProcess } from './collective.js'
import { type EndOfJob, explainFailure, leaveLastWords, waitForReaders } from './end-of-job.js'
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
import type { Member } from './members.js'
import { PeerError } from './peer-error.js'
import { meet, type Rendezvous } from './rendezvous.js'

/** Ranks of one job in processes of their own. Once a peer has failed, every method throws that same {@link PeerError} again. */
export interface ProcessGroup extends Collective {
  readonly launch: Launch
  readonly backend: 'gloo' | 'none'
  /** Who the ranks are, in rank order. */
  readonly members: readonly Member[]
  /** Bytes that this rank has handed over for others. */
  readonly bytesSent: number
  /** Every rank's numbers, in rank order; lengths may differ. */
  gatherNumbers(values: readonly number[]): number[][]
  /** Every rank's text, in rank order. */
  gatherText(text: string): string[]
  /** Tells the others that this rank ends by an error of its own, which they will name. Never throws. */
  fail(error: { readonly code: string; readonly message: string }): void
  /** The end of the job: meets the others and closes the group. */
  leave(): Promise<void>
}

/** How a process joins the others. */
export interface JoinOptions {
  readonly launch: Launch
  /** How long a collective waits for the others. Default 300,000. */
  readonly timeoutMs?: number
  /** How long ranks wait for each other to start. Default: `timeoutMs`. */
  readonly joinTimeoutMs?: number
  /** Network interfaces of this machine, separated by commas. Default: GLOO_SOCKET_IFNAME, else that of this host's name. */
  readonly interfaces?: string | undefined
}

/** Gloo's address where all ranks are on one machine. */
const LOOPBACK = '127.0.0.1'
const LEAVE_MS = 5_000

/**
 * Joins the other processes of a job, over Gloo. A world of one needs no network.
 *
 * @throws {PeerError} JOIN_FAILED when the ranks do not find each other in time.
 */
export async function joinProcessGroup(options: JoinOptions): Promise<ProcessGroup> {
  const { launch, timeoutMs = 300_000 } = options
  if (launch.worldSize === 1) return aloneInTheWorld(launch)
  // LibTorch's own lines on sockets say nothing that the errors here do not.
  process.env.TORCH_CPP_LOG_LEVEL ??= 'FATAL'
  engine()
  const met = await meet(launch, options.joinTimeoutMs ?? timeoutMs)
  try {
    return new GlooGroup(launch, met, timeoutMs, options.interfaces ?? process.env.GLOO_SOCKET_IFNAME ?? '')
  } catch (error) {
    met.store.close()
    const text = String((error as Error).message).split('\n', 1)[0]!
    throw new PeerError(
      'JOIN_FAILED',
      `rank ${launch.rank} cannot connect to the others: ${text}`,
      undefined,
      { cause: error },
    )
  }
}

class GlooGroup implements ProcessGroup {
  readonly backend = 'gloo'
  readonly launch: Launch
  readonly rank: number
  readonly worldSize: number
  readonly members: readonly Member[]
  bytesSent = 0
  private readonly job: EndOfJob
  private readonly timeoutMs: number
  private readonly group: number
  private readonly scratch: Uint8Array
  private readonly received: Uint8Array
  private sequence = 0
  private failure: PeerError | undefined

  constructor(launch: Launch, met: Rendezvous, timeoutMs: number, interfaces: string) {
    this.launch = launch
    this.rank = launch.rank
    this.worldSize = launch.worldSize
    this.members = met.members
    this.timeoutMs = timeoutMs
    this.job = { rank: launch.rank, members: met.members, store: met.store, storeRank: met.storeRank }
    const here = met.members[launch.rank]!
    const host = met.members.every(({ network }) => network === here.network) ? LOOPBACK : ''
    this.group = engine().native.groupOpen(
      met.store.openPrefix('gloo/'),
      launch.rank,
      launch.worldSize,
      timeoutMs,
      host,
      interfaces,
    )
    this.scratch = new Uint8Array(FRAME_BYTES)
    this.received = new Uint8Array(FRAME_BYTES * launch.worldSize)
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
        engine().native.broadcastFrom(this.group, onHost.handle, source)
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

  fail({ code, message }: { readonly code: string; readonly message: string }): void {
    if (this.failure !== undefined) return
    this.failure = new PeerError('PEER_FAILED', `this rank failed: ${code}: ${message}`, this.rank)
    leaveLastWords(this.job, { own: true, code, message })
    try {
      // The others notice when the connections close; the store must answer them for as long as they ask.
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
      store.add(key, 1)
      while (performance.now() < until && store.add(key, 0) < this.worldSize) await sleep(2)
    }
    try {
      // No connection closes while somebody may still read from it, and the store goes last.
      await all('left')
      engine().native.groupClose(this.group)
      if (storeRank === this.rank) await all('closed')
      else store.add('closed', 1)
    } catch {
      // Its host was faster: the job is done all the same.
    }
    store.close()
  }

  /** Runs a part of a collective; what goes wrong in it is explained once and ends the group. */
  private together<T>(action: () => T): T {
    if (this.failure !== undefined) throw this.failure
    try {
      return noGrad(action)
    } catch (error) {
      this.failure = error instanceof PeerError ? error : explainFailure(this.job, error, this.timeoutMs)
      throw this.failure
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
      engine().native.exchange(this.group, sent.handle, received.handle)
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
    engine().native.gatherPieces(this.group, piece.handle, all.handle)
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
    engine().native.sumOverRanks(this.group, buffer.handle)
    this.bytesSent += 2 * length * itemBytes(dtype) * (this.worldSize - 1)
    for (const { tensor, part } of parts) copy_(tensor, part)
  }
}

const NOTHING = new Uint8Array(0)

function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1)
}

function numbersOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(bytes.slice().buffer)
}

interface Run {
  readonly tensors: Tensor[]
  readonly dtype: DType
  numel: number
  bytes: number
}

/** Bytes that are copied into one buffer; a larger tensor has one of its own. */
const RUN_BYTES = 32 << 20

/** Neighbours of one dtype, together no larger than RUN_BYTES where they are several. */
function inRuns(tensors: readonly Tensor[], dtypes: readonly DType[], bytes: readonly number[]): Run[] {
  const runs: Run[] = []
  for (const [i, tensor] of tensors.entries()) {
    const [dtype, size] = [dtypes[i]!, bytes[i]!]
    if (size === 0) continue
    let run = runs.at(-1)
    if (run === undefined || run.dtype !== dtype || run.bytes + size > RUN_BYTES) {
      run = { tensors: [], dtype, numel: 0, bytes: 0 }
      runs.push(run)
    }
    run.tensors.push(tensor)
    run.numel += size / itemBytes(dtype)
    run.bytes += size
  }
  return runs
}

function aloneInTheWorld(launch: Launch): ProcessGroup {
  return {
    ...singleProcess,
    ...{ launch, backend: 'none', members: [], bytesSent: 0 },
    gatherNumbers: (values) => [[...values]],
    gatherText: (text) => [text],
    fail() {},
    async leave() {},
  }
}
