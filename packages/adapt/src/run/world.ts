import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { type Collective, distributed } from '@adapt-ts/torch'
import { fromExactJson, toExactJson } from '../checkpoint/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { ALONE, describeError, type Ranks } from '../ranks.js'

/** The processes that train one model together, as one of them sees it. All of them call the same methods in the same order. */
export interface World extends Ranks {
  /** Among the ranks of this machine. */
  readonly localRank: number
  readonly collective: Collective
  /** Every rank works: rank 0 before one of each other machine, those before the rest, so that what one leaves in a cache the others find. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
  /** How tensors of this rank's device travel, as a line; undefined where there is nothing to say. Every rank asks. */
  describeTravel(device: string): string | undefined
  /** Milliseconds that this rank has spent waiting for the others. */
  readonly waitedMs: number
  /** The machine of each rank. */
  readonly hosts: readonly string[]
  gatherText(text: string): string[]
  /** Every rank's numbers, in rank order. */
  gatherNumbers(values: readonly number[]): number[][]
  any(flag: boolean): boolean
  /**
   * Every rank does its part.
   * @throws what `work` did; {@link AdaptError} RANK_FAILED, with the same exit code, where it did on another rank.
   */
  together(work: () => void): void
  /** For long work of a rank by itself: looks now and then whether the others are there. @throws {PeerError} */
  requirePeers(): void
  /** The end of a run that is done or was stopped: waits for the others. */
  leave(): Promise<void>
}

/** Between two looks at whether the others are there. */
const LOOK_MS = 300

/** The world of a process without peers. */
export function aloneWorld(): World {
  return {
    ...ALONE,
    localRank: 0,
    collective: distributed.singleProcess,
    inTurn: (work) => work(),
    describeTravel: () => undefined,
    waitedMs: 0,
    hosts: [hostname()],
    gatherNumbers: (values) => [[...values]],
    together: (work) => work(),
    requirePeers: () => {},
    leave: async () => {},
  }
}

/** The world of a run that is part of another: its end is not the end of the ranks. */
export function innerWorld(world: World): World {
  const inner: World = Object.create(world)
  return Object.assign(inner, { leave: async () => await world.fromFirst(() => {}) })
}

/**
 * Runs what the ranks that this process was started with do together: under torchrun, srun, a Kubernetes job or `adapt launch`, as the
 * environment says; alone without one. A rank that fails tells the others, which end by a PeerError that names it.
 *
 * @param options.timeoutSeconds  Longest that a rank waits for another.
 * @param options.backend  How tensors of CUDA devices travel.
 */
export async function withinWorld<T>(
  run: (world: World) => Promise<T>,
  { timeoutSeconds, backend }: { readonly timeoutSeconds: number; readonly backend?: distributed.Backend },
): Promise<T> {
  const launch = distributed.readLaunch(process.env)
  if (launch === undefined || launch.worldSize === 1) return await run(aloneWorld())
  const group = await distributed.joinProcessGroup({
    ...{ launch, timeoutMs: timeoutSeconds * 1000 },
    ...(backend === undefined ? {} : { backend }),
  })
  const world = new GroupWorld(group)
  try {
    return await run(world)
  } catch (error) {
    if (!world.hasLeft && !isOfPeer(error)) {
      group.fail(describe(error))
      writeErrorFile(process.env.TORCHELASTIC_ERROR_FILE, error)
    }
    throw endOf(error)
  }
}

/** Whether an error is another rank's. */
export function isOfPeer(error: unknown): boolean {
  return (
    error instanceof distributed.PeerError || (error instanceof AdaptError && error.code === 'RANK_FAILED')
  )
}

/** What a rank ends with. */
function endOf(error: unknown): unknown {
  // A rank that was asked to stop before the ranks could agree on it ends the others in the same way.
  if (error instanceof distributed.PeerError && error.ownCode === 'INTERRUPTED')
    return new AdaptError('INTERRUPTED', EXIT.resumable, error.message, {}, { cause: error })
  // By the exit code of its own error a launcher finds the rank to blame, whichever ends first.
  if (error instanceof AdaptError && error.code === 'RANK_FAILED')
    return new AdaptError(error.code, EXIT.peer, error.message, {}, { cause: error })
  return error
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = describeError(error)
  return { code, message: message.split('\n')[0]! }
}

/** What torchrun shows of the rank that failed first. Only that one writes it: torchrun takes the earliest of them for the cause. */
function writeErrorFile(path: string | undefined, error: unknown): void {
  if (path === undefined || (error instanceof AdaptError && error.code === 'INTERRUPTED')) return
  const { code, message } = describe(error)
  const extraInfo = {
    py_callstack: error instanceof Error ? error.stack : undefined,
    timestamp: String(Math.floor(Date.now() / 1000)),
  }
  try {
    writeFileSync(path, JSON.stringify({ message: { message: `${code}: ${message}`, extraInfo } }))
  } catch {
    // The error itself is what counts.
  }
}

/** A world on a process group of torch.distributed. */
class GroupWorld implements World {
  hasLeft = false
  private lastLook = 0

  constructor(private readonly group: distributed.ProcessGroup) {}

  get rank(): number {
    return this.group.rank
  }

  get worldSize(): number {
    return this.group.worldSize
  }

  get localRank(): number {
    return this.group.launch.localRank
  }

  get collective(): Collective {
    return this.group
  }

  get isFirst(): boolean {
    return this.rank === 0
  }

  async fromFirst<T>(work: () => T | Promise<T>): Promise<T> {
    if (this.isFirst) {
      const value = await work()
      const text = toExactJson({ value })
      await this.group.meet()
      this.group.gatherText(text)
      return value
    }
    await this.group.meet()
    const [text] = this.group.gatherText('') as [string]
    return (fromExactJson(text) as { value: T }).value
  }

  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.isFirst ? 0 : this.localRank === 0 ? 1 : 2
    let result: T | undefined
    for (let i = 0; i < 3; i++) {
      if (i === turn) result = await work()
      await this.group.meet()
    }
    return result as T
  }

  describeTravel(device: string): string | undefined {
    const { backend, detour } = this.group.travel(device)
    if (device === 'cpu') return undefined
    if (backend === 'nccl') return 'ranks exchange gradients from GPU to GPU (NCCL)'
    return `ranks exchange gradients over the host (Gloo)${detour === undefined ? '' : `: ${detour}`}`
  }

  get waitedMs(): number {
    return this.group.waitedMs
  }

  get hosts(): readonly string[] {
    return this.group.members.map(({ host }) => host)
  }

  gatherText(text: string): string[] {
    return this.group.gatherText(text)
  }

  gatherNumbers(values: readonly number[]): number[][] {
    return this.group.gatherNumbers(values)
  }

  any(flag: boolean): boolean {
    return this.group.allReduceNumbers([flag ? 1 : 0])[0]! > 0
  }

  together(work: () => void): void {
    let failure: { readonly error: unknown } | undefined
    try {
      work()
    } catch (error) {
      failure = { error }
    }
    const code = failure?.error instanceof AdaptError ? failure.error.exitCode : EXIT.bug
    const codes = this.group.gatherNumbers([failure ? code : 0]).map(([of]) => of!)
    if (failure) throw failure.error
    const failed = codes.findIndex((of) => of !== 0)
    if (failed < 0) return
    throw new AdaptError('RANK_FAILED', codes[failed]!, `rank ${failed} could not do its part; it says why`)
  }

  requirePeers(): void {
    if (Date.now() - this.lastLook < LOOK_MS) return
    this.lastLook = Date.now()
    this.group.requirePeers()
  }

  async leave(): Promise<void> {
    await this.group.leave()
    this.hasLeft = true
  }
}
