import type { JobStore } from './job-store.js'
import { hasEnded, type Member } from './members.js'
import { nameRanks, PeerError } from './peer-error.js'

/** How long a rank waits for what the others have to say of the end of a job. */
const LAST_WORDS_MS = 1_000
const POLL_MS = 5

/** What a rank that ends early leaves in the store: an error of its own, or that a peer ended it. */
interface LastWords {
  readonly own: boolean
  readonly code: string
  readonly message: string
}

/** What the protocol knows of the job. */
export interface EndOfJob {
  readonly rank: number
  readonly members: readonly Member[]
  readonly store: JobStore
  /** Who hosts the store and must outlive the others' questions; undefined: the launcher. */
  readonly storeRank: number | undefined
}

const keyOf = (rank: number) => `end/${rank}`

/** Waits without a turn of the event loop: a collective has failed in the middle of a step. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Leaves this rank's own error for the others. Never throws: the error itself is what the caller reports. */
export function leaveLastWords(job: EndOfJob, words: LastWords): void {
  try {
    job.store.set(keyOf(job.rank), JSON.stringify(words), LAST_WORDS_MS)
  } catch {
    // Whoever hosts the store is gone: nobody is left to read it there.
  }
}

/** Whether a rank has said that it ends early. */
export function hasLastWords({ store }: EndOfJob, rank: number): boolean {
  return store.get(keyOf(rank)) !== undefined
}

/** Its last words; undefined also where nobody hosts the store any more. */
function wordsOf({ store }: EndOfJob, rank: number): LastWords | undefined {
  try {
    const found = store.get(keyOf(rank), LAST_WORDS_MS)
    return found === undefined ? undefined : (JSON.parse(found) as LastWords)
  } catch {
    return undefined
  }
}

/** "rank 1 (process 17 on node0)" */
function nameMember({ members }: EndOfJob, rank: number): string {
  return `rank ${rank} (process ${members[rank]!.pid} on ${members[rank]!.host})`
}

/** What a rank said of an error of its own, for the others. */
function ownError(rank: number, { code, message }: LastWords, cause: unknown): PeerError {
  return new PeerError('PEER_FAILED', `rank ${rank} failed: ${code}: ${message}`, rank, {
    cause,
    ownCode: code,
  })
}

/**
 * An error that names a rank that has said that it fails, or whose process has ended, where that can be seen from here; a process that was
 * killed counts as ended a moment later.
 */
export function findEnded(job: EndOfJob, cause: unknown): PeerError | undefined {
  const here = job.members[job.rank]!
  const until = performance.now() + LAST_WORDS_MS / 4
  do {
    for (const rank of job.members.keys()) {
      const words = rank === job.rank ? undefined : wordsOf(job, rank)
      if (words?.own) return ownError(rank, words, cause)
    }
    const gone = job.members.findIndex((member, rank) => rank !== job.rank && hasEnded(member, here) === true)
    if (gone >= 0) return new PeerError('PEER_FAILED', `${nameMember(job, gone)} ended`, gone, { cause })
    pause(POLL_MS)
  } while (performance.now() < until)
  return undefined
}

/** The host of the store stays until every rank that is alive has said that it knows, for a second at most. */
export function waitForReaders(job: EndOfJob): void {
  if (job.storeRank !== job.rank) return
  const others = job.members.map((_, rank) => rank).filter((rank) => rank !== job.rank)
  const until = performance.now() + LAST_WORDS_MS
  const isWaiting = (rank: number) =>
    job.store.get(`knows/${rank}`, LAST_WORDS_MS) === undefined &&
    hasEnded(job.members[rank]!, job.members[job.rank]!) !== true
  while (performance.now() < until && others.some(isWaiting)) pause(POLL_MS)
}

/**
 * What ended a collective: asks the store for the last words of the others, for a second at most, and finds the rank to name.
 *
 * @param error  What the engine said; it knows ports, no ranks.
 * @param timeoutMs  Of the group.
 */
export function explainFailure(job: EndOfJob, error: unknown, timeoutMs: number): PeerError {
  const text = String((error as { message?: string }).message ?? error).split('\n', 1)[0]!
  const timedOut = /time[d ]*out/i.test(text)
  leaveLastWords(job, { own: false, code: 'PEER_FAILED', message: text })
  const verdict = judge(job, timedOut, timeoutMs, text, error)
  try {
    job.store.set(`knows/${job.rank}`, '1', LAST_WORDS_MS)
    waitForReaders(job)
  } catch {
    // The verdict stands without it.
  }
  return verdict
}

function judge(job: EndOfJob, timedOut: boolean, timeoutMs: number, text: string, cause: unknown): PeerError {
  const { members, rank: self } = job
  const here = members[self]!
  const words = new Map<number, LastWords>()
  const silent = () => members.map((_, rank) => rank).filter((rank) => rank !== self && !words.has(rank))
  const ended = () => silent().filter((rank) => hasEnded(members[rank]!, here))
  const until = performance.now() + LAST_WORDS_MS
  const nameOf = (rank: number) => nameMember(job, rank)
  for (;;) {
    try {
      for (const rank of silent()) {
        const found = job.store.get(keyOf(rank), LAST_WORDS_MS)
        if (found !== undefined) words.set(rank, JSON.parse(found) as LastWords)
      }
    } catch (lost) {
      // A process that was killed closes its connections a moment before it counts as ended.
      let gone = ended()[0]
      for (; gone === undefined && performance.now() < until; gone = ended()[0]) pause(POLL_MS)
      if (gone !== undefined) return new PeerError('PEER_FAILED', `${nameOf(gone)} ended`, gone, { cause })
      return job.storeRank === undefined
        ? (lost as PeerError)
        : new PeerError(
            'STORE_LOST',
            `no answer from ${nameOf(job.storeRank)}, which hosts the store`,
            job.storeRank,
            { cause },
          )
    }
    for (const [rank, said] of words) if (said.own) return ownError(rank, said, cause)
    const gone = ended()[0]
    if (gone !== undefined && isStillSilent(job, gone))
      return new PeerError('PEER_FAILED', `${nameOf(gone)} ended`, gone, { cause })
    if (silent().length === 0)
      return new PeerError('PEER_FAILED', `a connection between ranks failed: ${text}`, undefined, { cause })
    if (performance.now() > until) break
    pause(POLL_MS)
  }
  const mute = silent()
  const who = mute.length === 1 ? nameOf(mute[0]!) : nameRanks(mute)
  const since = timedOut ? ` for ${timeoutMs / 1000} s` : ''
  return new PeerError(timedOut ? 'PEER_TIMEOUT' : 'PEER_FAILED', `no answer from ${who}${since}`, mute[0], {
    cause,
  })
}

/** Its last words may have come between the look at the store and the look at the process. */
function isStillSilent(job: EndOfJob, rank: number): boolean {
  return wordsOf(job, rank) === undefined
}
