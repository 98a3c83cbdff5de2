/** One process of a job: what is to be seen of collectives, and of the ends of peers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type distributed, full, scope, type Tensor, zeros } from '../index.js'
import { type CollectiveReport, runEveryCollective } from './every-collective.test.fixture.js'
import { runAsRank } from './job.test.fixture.js'

type Group = distributed.ProcessGroup

/** What a rank saw. */
export interface GroupReport {
  readonly collectives?: CollectiveReport
  readonly texts?: readonly string[]
  readonly numbers?: readonly (readonly number[])[]
  readonly sums?: readonly number[]
  readonly bytesSent?: number
}

const sumOf = (tensors: (rank: number) => Tensor[]) => (group: Group) =>
  scope(() => {
    group.allReduceSum(tensors(group.rank))
    return {}
  })

const TASKS: Readonly<Record<string, (group: Group) => GroupReport | Promise<GroupReport>>> = {
  collectives: (group) => ({ collectives: runEveryCollective(group) }),

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
  'long work': meetAfter((group) => sleep(1500 * group.rank)),
  'death before a meeting': meetAfter(async ({ rank }) => {
    if (rank === 1) process.kill(process.pid, 'SIGKILL')
  }),
  'error before a meeting': meetAfter(async (group) => {
    if (group.rank === 0) endByOwnError(group)
  }),
  'death before work': workWhile(({ rank }) => {
    if (rank === 1) process.kill(process.pid, 'SIGKILL')
  }),
  'error before work': workWhile((group) => {
    if (group.rank === 0) endByOwnError(group)
  }),
  'own error of a peer': (group) => {
    if (group.rank === 1) endByOwnError(group)
    return waitForPeers(group)
  },
  'own error of the host': (group) => {
    if (group.rank === 0) endByOwnError(group)
    return waitForPeers(group)
  },
}

function meetAfter(work: (group: Group) => Promise<unknown>): (group: Group) => Promise<GroupReport> {
  return async (group) => {
    await work(group)
    await group.meet()
    await group.meet()
    return { sums: group.allReduceNumbers([group.rank + 1]) }
  }
}

/** Works long by itself, and looks now and then whether the others are there. */
function workWhile(begin: (group: Group) => void): (group: Group) => Promise<GroupReport> {
  return async (group) => {
    group.requirePeers()
    begin(group)
    for (;;) {
      await sleep(20)
      group.requirePeers()
    }
  }
}

function endByOwnError(group: Group): void {
  group.fail({ code: 'DATA_DAMAGED', message: 'shard 7 is damaged' })
  process.exit(3)
}

function waitForPeers(group: Group): GroupReport {
  group.barrier()
  return {}
}

await runAsRank(TASKS)
