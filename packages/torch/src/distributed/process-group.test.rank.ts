/** One process of a job: joins, does what its task says, sends what it saw to the process that started it. */
import { distributed, full, scope, type Tensor, zeros } from '../index.js'
import { type CollectiveReport, runEveryCollective } from './every-collective.test.fixture.js'

type Group = distributed.ProcessGroup

/** What a rank saw; a failure with the milliseconds that it took to be known. */
export interface RankMessage {
  readonly report?: CollectiveReport
  readonly texts?: readonly string[]
  readonly numbers?: readonly (readonly number[])[]
  readonly sums?: readonly number[]
  readonly bytesSent?: number
  readonly failure?: { name: string; code: string; message: string; rank: number | undefined; ms: number }
  readonly failedAgain?: boolean
}

const sumOf = (tensors: (rank: number) => Tensor[]) => (group: Group) =>
  scope(() => {
    group.allReduceSum(tensors(group.rank))
    return {}
  })

const TASKS: Readonly<Record<string, (group: Group) => RankMessage>> = {
  collectives: (group) => ({ report: runEveryCollective(group) }),

  // More than a frame holds, of lengths that differ.
  texts: (group) => ({
    texts: group.gatherText(String(group.rank).repeat(600 * group.rank + 1)),
    numbers: group.gatherNumbers(Array.from({ length: 100 * group.rank }, (_, i) => i + 0.5)),
    sums: group.allReduceNumbers(Array.from({ length: 1000 }, (_, i) => i * (group.rank + 1))),
  }),

  bytes: (group) =>
    scope(() => {
      group.allReduceSum([full([1001], 1)])
      return { bytesSent: group.bytesSent }
    }),

  'other sizes': sumOf((rank) => [zeros([2 + rank])]),
  'other dtypes': sumOf((rank) => [zeros([4], { dtype: rank === 1 ? 'float64' : 'float32' })]),
  'other shapes': sumOf((rank) => [zeros([4]), zeros(rank === 1 ? [2, 3] : [3, 2])]),
  'other calls': (group) => {
    if (group.rank === 1) group.barrier()
    else group.gatherText('')
    return {}
  },

  'killed peer': (group) => {
    if (group.rank === 1) process.kill(process.pid, 'SIGKILL')
    return waitForPeers(group)
  },
  'killed host': (group) => {
    if (group.rank === 0) process.kill(process.pid, 'SIGKILL')
    return waitForPeers(group)
  },
  'stopped peer': (group) => {
    if (group.rank === 1) process.kill(process.pid, 'SIGSTOP')
    return waitForPeers(group)
  },
  'own error of a peer': (group) => {
    if (group.rank === 1) endByOwnError(group)
    return waitForPeers(group)
  },
  'own error of the host': (group) => {
    if (group.rank === 0) endByOwnError(group)
    return waitForPeers(group)
  },
}

function endByOwnError(group: Group): void {
  group.fail({ code: 'DATA_DAMAGED', message: 'shard 7 is damaged' })
  process.exit(3)
}

function waitForPeers(group: Group): RankMessage {
  group.barrier()
  return {}
}

function send(message: RankMessage): Promise<void> {
  return new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()))
}

async function main(): Promise<void> {
  let startMs = performance.now()
  let group: Group | undefined
  try {
    const launch = distributed.readLaunch(process.env)!
    group = await distributed.joinProcessGroup({
      launch,
      timeoutMs: Number(process.env.TEST_TIMEOUT_MS),
      joinTimeoutMs: Number(process.env.TEST_JOIN_TIMEOUT_MS),
    })
    startMs = performance.now()
    await send(TASKS[process.argv[2]!]!(group))
    await group.leave()
  } catch (error) {
    const ms = performance.now() - startMs
    if (!(error instanceof distributed.PeerError)) throw error
    const { name, code, message, rank } = error
    let failedAgain = false
    try {
      group?.barrier()
    } catch (again) {
      failedAgain = again === error
    }
    await send({ failure: { name, code, message, rank, ms }, failedAgain })
    process.exit(6)
  }
}

await main()
