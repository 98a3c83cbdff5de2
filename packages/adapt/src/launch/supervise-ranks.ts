import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { distributed } from '@adapt-ts/torch'
import { EXIT } from '../errors.js'

/** Where this machine stands among those of a job. */
export interface JobNodes {
  readonly numNodes: number
  readonly nodeRank: number
  /** Of the first machine, where rank 0 has the store of the job. */
  readonly masterAddr: string
  readonly masterPort: number
  /** The same on every machine, another for every job. */
  readonly runId: string
}

/** What the ranks of a job on this machine are. */
export interface RankJob {
  /** Program and arguments of every rank. @param restart  0 at first. */
  readonly command: (restart: number) => readonly [string, ...string[]]
  /** On this machine. */
  readonly numRanks: number
  /** Default: this machine alone. */
  readonly nodes?: JobNodes | undefined
  /** How often all of them are started again after one of them failed by what another attempt may not meet. */
  readonly maxRestarts: number
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where rank 0 has the store of the job; default: this process has it, so that nobody can take its port. */
  readonly port?: number
  /** What a rank prints, a line at a time. Rank 0's stdout is the job's own. */
  readonly onLine: (rank: number, line: string) => void
  readonly onNote: (line: string) => void
}

/** @property hasStore  Whether this process has the store, and not rank 0. */
type MeetingPlace = JobNodes & { readonly hasStore: boolean }

/** How a rank ended. */
interface RankEnd {
  readonly rank: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Between the end of one rank and the signal that ends the others; they leave by themselves when they notice. */
const PEERS_LEAVE_MS = 10_000
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 30_000
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const
/** What the same command would meet again. */
const LASTING: readonly number[] = [EXIT.config, EXIT.data, EXIT.numeric, EXIT.hostile]

/**
 * Starts the ranks of a job and waits for their end; after a failure that may pass all of them are started again. Signals are handed on.
 *
 * @returns The exit code of the job: 0, 75 where every rank was stopped and can go on, else that of the rank that failed first by itself; 6 for
 *   one that a signal killed.
 */
export async function superviseRanks(job: RankJob): Promise<number> {
  using store = job.nodes === undefined && job.port === undefined ? distributed.hostStore() : undefined
  const nodes = job.nodes ?? {
    numNodes: 1,
    nodeRank: 0,
    masterAddr: '127.0.0.1',
    masterPort: store?.port ?? job.port!,
    runId: randomUUID(),
  }
  for (let restart = 0; ; restart++) {
    const attempt = new Attempt(job, { ...nodes, hasStore: store !== undefined }, restart)
    const ends = await attempt.ends()
    const code = exitCodeOf(ends)
    if (code === EXIT.done || code === EXIT.resumable || code === EXIT.interrupted) return code
    const cause = rootCause(ends)
    if (attempt.wasSignalled || LASTING.includes(code) || restart >= job.maxRestarts) {
      if (job.numRanks > 1) job.onNote(`rank ${cause.rank} ${describeEnd(cause)}; the job ends`)
      return code
    }
    job.onNote(
      `rank ${cause.rank} ${describeEnd(cause)}; all ranks start again (${restart + 1} of ${job.maxRestarts})`,
    )
  }
}

/** All ranks of a job, started once. */
class Attempt {
  wasSignalled = false
  private readonly children: ChildProcess[]
  private readonly firstRank: number
  private readonly timers: NodeJS.Timeout[] = []
  private readonly forward = (signal: NodeJS.Signals) => {
    this.wasSignalled = true
    this.kill(signal)
  }

  constructor(job: RankJob, nodes: MeetingPlace, restart: number) {
    for (const signal of FORWARDED) process.on(signal, this.forward)
    this.firstRank = nodes.nodeRank * job.numRanks
    this.children = Array.from({ length: job.numRanks }, (_, local) => startRank(job, local, nodes, restart))
  }

  /** In the order in which the ranks ended. */
  async ends(): Promise<RankEnd[]> {
    const ends: RankEnd[] = []
    try {
      await Promise.all(
        this.children.map(async (child, localRank) => {
          const rank = this.firstRank + localRank
          const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
          ends.push({ rank, code, signal })
          if (code !== EXIT.done && ends.length === 1) this.endOthers()
        }),
      )
      return ends
    } finally {
      for (const timer of this.timers) clearTimeout(timer)
      for (const signal of FORWARDED) process.off(signal, this.forward)
    }
  }

  /** Ranks that hang do not notice that another is gone. */
  private endOthers(): void {
    this.timers.push(setTimeout(() => this.kill('SIGTERM'), PEERS_LEAVE_MS))
    this.timers.push(setTimeout(() => this.kill('SIGKILL'), PEERS_LEAVE_MS + GRACE_MS))
  }

  private kill(signal: NodeJS.Signals): void {
    for (const child of this.children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill(signal)
      // One that was stopped (SIGSTOP) takes no other signal before it goes on.
      child.kill('SIGCONT')
    }
  }
}

function startRank(
  { command, numRanks, env, onLine }: RankJob,
  localRank: number,
  { numNodes, nodeRank, masterAddr, masterPort, runId, hasStore }: MeetingPlace,
  restart: number,
): ChildProcess {
  const rank = nodeRank * numRanks + localRank
  const [program, ...args] = command(restart)
  const threads = String(Math.max(1, Math.floor(availableParallelism() / numRanks)))
  const child = spawn(program, args, {
    env: {
      OMP_NUM_THREADS: threads,
      ...env,
      RANK: String(rank),
      LOCAL_RANK: String(localRank),
      WORLD_SIZE: String(numRanks * numNodes),
      LOCAL_WORLD_SIZE: String(numRanks),
      MASTER_ADDR: masterAddr,
      MASTER_PORT: String(masterPort),
      TORCHELASTIC_RUN_ID: runId,
      TORCHELASTIC_USE_AGENT_STORE: hasStore ? 'True' : 'False',
      TORCHELASTIC_RESTART_COUNT: String(restart),
      ADAPT_LAUNCHER_PID: String(process.pid),
    },
    // Signals of a terminal reach a group of processes; the ranks get theirs from here.
    detached: true,
    stdio: ['ignore', rank === 0 ? 'inherit' : 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface({ input: stream }).on('line', (line) => onLine(rank, line))
  }
  child.on('error', (error) => onLine(rank, error.message))
  return child
}

/** The first that did not end because of another one. */
function rootCause(ends: readonly RankEnd[]): RankEnd {
  const failed = ends.filter(({ code }) => code !== EXIT.done)
  const own = failed.filter(({ code, signal }) => signal !== null || code !== EXIT.peer)
  // SIGTERM and SIGKILL are also what the others got from here.
  return own[0] ?? failed[0]!
}

function exitCodeOf(ends: readonly RankEnd[]): number {
  if (ends.every(({ code }) => code === EXIT.done)) return EXIT.done
  const { code } = rootCause(ends)
  return code ?? EXIT.peer
}

function describeEnd({ code, signal }: RankEnd): string {
  return signal === null ? `failed with exit code ${code}` : `was ended by ${signal}`
}
