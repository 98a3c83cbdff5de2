import { setTimeout as sleep } from 'node:timers/promises'
import { noGrad } from '../autograd.js'
import type { Device } from '../device.js'
import { itemBytes, scalarTypeOf } from '../dtype.js'
import { TorchError } from '../errors.js'
import { engine } from '../native.js'
import { copy_, detach, narrow, view, zeros } from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'
import { ControlPlane } from './control-plane.js'
import { type EndOfJob, explainFailure, hasLastWords, leaveLastWords, waitForReaders } from './end-of-job.js'
import { hashNumbers, MAX_DIMENSIONS } from './frame.js'
import type { Launch } from './launch-environment.js'
import { type Backend, type Link, Links } from './links.js'
import { hasEnded, type Member } from './members.js'
import { PeerError } from './peer-error.js'
import type { ProcessGroup, Travel } from './process-group.js'
import { inRuns, product, type Run } from './tensor-runs.js'
import { asked, TransportFailure, transport } from './transport.js'

/** Gloo's address where all ranks are on one machine. */
const LOOPBACK = '127.0.0.1'
const LEAVE_MS = 5_000
/** Between two looks at who has come to a meeting: at first, and at most. */
const [FIRST_LOOK_MS, LAST_LOOK_MS] = [5, 250]

/** What ranks must have in common to sum gradients in buckets. */
interface BucketLayout {
  readonly parameters: readonly Tensor[]
  readonly capBytes: number
  readonly bytes: number
}

/** Ranks as processes that torch.distributed connects, each with every other. */
export class C10dGroup implements ProcessGroup {
  readonly launch: Launch
  readonly rank: number
  readonly worldSize: number
  readonly members: readonly Member[]
  waitedMs = 0
  private readonly job: EndOfJob
  private readonly timeoutMs: number
  private readonly links: Links
  private readonly control: ControlPlane
  private tensorBytesSent = 0
  private meetings = 0
  private failure: PeerError | undefined

  constructor(launch: Launch, job: EndOfJob, timeoutMs: number, interfaces: string, backend: Backend) {
    this.launch = launch
    this.rank = launch.rank
    this.worldSize = launch.worldSize
    this.members = job.members
    this.timeoutMs = timeoutMs
    this.job = job
    const here = job.members[launch.rank]!
    const host = job.members.every(({ network }) => network === here.network) ? LOOPBACK : ''
    this.links = new Links({ job, timeoutMs, host, interfaces, backend })
    this.control = new ControlPlane(this.links.host.id, launch.worldSize)
  }

  get bytesSent(): number {
    return this.control.bytesSent + this.tensorBytesSent
  }

  travel(device: Device): Travel {
    const link = this.together(() => {
      this.links.meet(device, this.control, this.look)
      return this.linkOf(device)
    })
    if (link.device !== 'cpu') return { backend: 'nccl' }
    const detour = this.links.detourOf(device)
    return { backend: 'gloo', ...(detour === undefined ? {} : { detour }) }
  }

  allReduceSum(tensors: readonly Tensor[]): void {
    if (tensors.length === 0) return
    this.together(() => {
      const shapes = tensors.map((tensor) => tensor.shape)
      const dtypes = tensors.map((tensor) => tensor.dtype)
      const bytes = shapes.map((shape, i) => product(shape) * itemBytes(dtypes[i]!))
      const link = this.linkOf(tensors[0]!.device)
      this.control.announce('sum', {
        onDevice: isDirect(link),
        scalarType: scalarTypeOf(dtypes[0]!),
        argument: tensors.length,
        bytes: bytes.reduce((a, b) => a + b, 0),
        shape: shapes[0]!,
        hash: hashNumbers(shapes.flatMap((shape, i) => [scalarTypeOf(dtypes[i]!), shape.length, ...shape])),
      })
      for (const run of inRuns(tensors, dtypes, bytes)) scope(() => this.sumRun(run, link))
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
        const link = this.linkOf(device)
        const onDevice = isDirect(link)
        const frames = this.control.announce('gather', {
          ...{ scalarType: scalarTypeOf(dtype), bytes, onDevice, shape },
        })
        const largest = Math.max(...frames.map((frame) => frame.bytes))
        const length = largest / itemBytes(dtype)
        const numel = product(shape)
        const mine = zeros([length], { dtype, device: link.device })
        if (numel > 0) copy_(view(narrow(mine, 0, 0, numel), shape), tensor)
        const all = zeros([this.worldSize * length], { dtype, device: link.device })
        if (largest > 0) this.gatherPieces(mine, all, largest, link)
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
        const { dtype, device, shape } = tensor
        const bytes = product(shape) * itemBytes(dtype)
        const link = this.linkOf(device)
        this.control.announce('broadcast', {
          ...{ onDevice: isDirect(link), scalarType: scalarTypeOf(dtype), argument: source, bytes, shape },
          hash: hashNumbers([shape.length, ...shape]),
        })
        if (bytes === 0) return
        const buffer = zeros(shape, { dtype, device: link.device })
        if (this.rank === source) copy_(buffer, tensor)
        this.carry(link, () => engine().native.broadcastFrom(link.id, buffer.handle, source))
        if (this.rank === source) this.tensorBytesSent += bytes * (this.worldSize - 1)
        else copy_(detach(tensor), buffer)
      }),
    )
  }

  allReduceNumbers(values: readonly number[]): number[] {
    const total = new Array<number>(values.length).fill(0)
    const all = this.together(() => {
      const mine = new Uint8Array(Float64Array.from(values).buffer)
      return this.control.collect('sum', mine, {
        scalarType: scalarTypeOf('float64'),
        shape: [values.length],
      })
    })
    for (const bytes of all) for (const [i, value] of numbersOf(bytes).entries()) total[i]! += value
    return total
  }

  gatherNumbers(values: readonly number[]): number[][] {
    const mine = new Uint8Array(Float64Array.from(values).buffer)
    return this.together(() => this.control.collect('numbers', mine)).map((bytes) =>
      Array.from(numbersOf(bytes)),
    )
  }

  gatherText(text: string): string[] {
    return this.together(() => this.control.collectText('text', text))
  }

  barrier(): void {
    this.together(() => this.control.announce('barrier', {}))
  }

  async meet(): Promise<void> {
    const key = `meet/${this.meetings++}`
    this.together(() => asked(() => this.job.store.add(key, 1)))
    for (let wait = FIRST_LOOK_MS; ; wait = Math.min(2 * wait, LAST_LOOK_MS)) {
      const isOver = this.together(() =>
        asked(() => {
          if (this.job.store.add(key, 0) >= this.worldSize) return true
          this.requireNoneGone()
          return false
        }),
      )
      if (isOver) return
      await sleep(wait)
    }
  }

  requirePeers = (): void => this.together(this.look)

  private requireNoneGone(): void {
    const self = this.members[this.rank]!
    const isGone = (member: Member, rank: number) => hasEnded(member, self) || hasLastWords(this.job, rank)
    const gone = this.members.findIndex((member, rank) => rank !== this.rank && isGone(member, rank))
    if (gone >= 0) throw new Error(`rank ${gone} ended before it came`)
  }

  /** Looks whether the others are there. */
  private readonly look = () => asked(() => this.requireNoneGone())

  fail({ code, message }: { readonly code: string; readonly message: string }): void {
    if (this.failure !== undefined) return
    this.failure = new PeerError('PEER_FAILED', `this rank failed: ${code}: ${message}`, this.rank)
    leaveLastWords(this.job, { own: true, code, message })
    // The others notice when the connections close; the store must answer them for as long as they ask.
    this.links.close()
    try {
      waitForReaders(this.job)
    } catch {
      // What the caller reports is its own error.
    }
  }

  async leave(): Promise<void> {
    this.together(() => this.control.announce('leave', {}))
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
      this.links.close()
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
      const { device } = parameters[0] ?? { device: 'cpu' }
      this.control.announce('buckets', {
        onDevice: isDirect(this.linkOf(device)),
        argument: parameters.length,
        bytes,
        hash: hashNumbers([capBytes, ...shapes]),
      })
      const link = this.links.openBeside(device, this.control, this.look)
      const buckets = make(link.id)
      this.links.keepForBuckets(buckets, link)
      return buckets
    })
  }

  closeBuckets(buckets: number): void {
    this.links.closeBuckets(buckets)
  }

  /** Runs what moves so many bytes to other ranks by the link of these buckets, again and again until it gives something. */
  transfer<T>(buckets: number, bytes: number, action: (limitMs: number) => T | undefined): T {
    return this.together(() => {
      const result = this.links.until(action, this.look)
      this.links.settle(this.links.ofBucket(buckets), this.look)
      this.tensorBytesSent += bytes
      return result
    })
  }

  /** `all` [worldSize * piece] from everyone's `piece`, which are of one size. On the CPU. */
  gatherEqual(piece: Tensor, all: Tensor): void {
    this.together(() => {
      const { dtype, shape } = piece
      const bytes = product(shape) * itemBytes(dtype)
      this.control.announce('pieces', { scalarType: scalarTypeOf(dtype), bytes, shape })
      this.gatherPieces(piece, all, bytes, this.links.host)
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
      if (this.failure !== undefined) this.links.abort()
      throw this.failure ?? error
    } finally {
      this.waitedMs += performance.now() - start
    }
  }

  /** By which tensors of a device travel. The first time the ranks find it out together. */
  private linkOf(device: Device): Link {
    if (this.links.isNew(device)) this.links.meetOn(device, this.control, this.look)
    return this.links.of(device)
  }

  /** Runs what moves tensors by a link, and waits until they are there. */
  private carry<T>(link: Link, action: () => T): T {
    const result = transport(action)
    this.links.settle(link, this.look)
    return result
  }

  private gatherPieces(piece: Tensor, all: Tensor, bytes: number, link: Link): void {
    this.carry(link, () => engine().native.gatherPieces(link.id, piece.handle, all.handle))
    this.tensorBytesSent += bytes * (this.worldSize - 1)
  }

  /** Sums tensors of one dtype as one buffer. */
  private sumRun({ tensors, dtype, numel }: Run, link: Link): void {
    const length = Math.ceil(numel / this.worldSize)
    const buffer = zeros([length * this.worldSize], { dtype, device: link.device })
    let at = 0
    const parts = tensors.map((tensor) => {
      const { shape } = tensor
      const start = at
      at += product(shape)
      return { tensor: detach(tensor), part: view(narrow(buffer, 0, start, product(shape)), shape) }
    })
    for (const { tensor, part } of parts) copy_(part, tensor)
    this.carry(link, () => engine().native.sumOverRanks(link.id, buffer.handle))
    this.tensorBytesSent += 2 * length * itemBytes(dtype) * (this.worldSize - 1)
    for (const { tensor, part } of parts) copy_(tensor, part)
  }
}

/** As frames say it. */
function isDirect({ device }: Link): number {
  return device === 'cpu' ? 0 : 1
}

function numbersOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(bytes.slice().buffer)
}
