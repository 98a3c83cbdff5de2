import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { engine } from '../native.js'
import { JobStore } from './job-store.js'
import type { Launch } from './launch-environment.js'
import { type Member, thisMember } from './members.js'
import { nameRanks, PeerError } from './peer-error.js'

/** A group of ranks that found each other, before any collective. */
export interface Rendezvous {
  readonly store: JobStore
  /** The rank that hosts it; undefined: the launcher. */
  readonly storeRank: number | undefined
  readonly members: readonly Member[]
}

/** Somebody listens there already: a slow machine may take so long all the same. */
const CONNECT_MS = 10_000

/**
 * Meets the other ranks in the job's store: counts them, compares the size of the world, learns who they are. The event loop turns while it waits.
 *
 * @throws {PeerError} JOIN_FAILED; the message names the address, or the ranks that did not come.
 */
export async function meet(launch: Launch, timeoutMs: number): Promise<Rendezvous> {
  const { rank, worldSize, masterAddr, masterPort } = launch
  const until = performance.now() + timeoutMs
  const address = `${masterAddr}:${masterPort}`
  const hostsStore = rank === 0 && !launch.agentStore
  if (!hostsStore) await waitForPort(launch, address, until, timeoutMs)
  const id = openStore(launch, hostsStore, Math.max(CONNECT_MS, Math.ceil(until - performance.now())))
  const storeRank = launch.agentStore ? undefined : 0
  const prefix = `adapt/${launch.runId}/${launch.restartCount}/`
  const store = new JobStore(id, { prefix, address, hostRank: storeRank, answerMs: timeoutMs })
  try {
    if (store.add(`taken/${rank}`, 1) > 1)
      throw new PeerError('JOIN_FAILED', `two processes call themselves rank ${rank} at ${address}`, rank)
    store.set(`member/${rank}`, JSON.stringify(thisMember(worldSize)))
    await checkWorldSize(launch, store, until)
    store.add('joined', 1)
    await waitForAll(launch, store, until, timeoutMs)
    const members: readonly Member[] = await readRoster(launch, store)
    return { store, storeRank, members }
  } catch (error) {
    store.close()
    throw error
  }
}

function openStore(launch: Launch, isServer: boolean, timeoutMs: number): number {
  try {
    return engine().native.storeOpen(launch.masterAddr, launch.masterPort, isServer, timeoutMs)
  } catch (error) {
    const text = String((error as Error).message).split('\n', 1)[0]!
    const port = launch.masterPort
    const message = /in use/i.test(text)
      ? `port ${port} is taken on this machine: set MASTER_PORT to a free one, the same for all ranks`
      : `rank ${launch.rank} cannot open the store at ${launch.masterAddr}:${port}: ${text}`
    throw new PeerError('JOIN_FAILED', message, undefined, { cause: error })
  }
}

/** The engine's own attempts block, and say no more than that time ran out. */
async function waitForPort(launch: Launch, address: string, until: number, timeoutMs: number): Promise<void> {
  const { rank, masterAddr: host, masterPort: port } = launch
  for (;;) {
    const fault = await new Promise<string | undefined>((resolve) => {
      const socket = connect({ host, port, timeout: 5_000 })
      const end = (text?: string) => {
        socket.destroy()
        resolve(text)
      }
      socket.once('connect', () => end())
      socket.once('timeout', () => end('no answer'))
      socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    })
    if (fault === undefined) return
    if (performance.now() > until) {
      const hint = launch.agentStore ? 'the launcher should listen there' : 'rank 0 should listen there'
      throw new PeerError(
        'JOIN_FAILED',
        `rank ${rank} found nobody at ${address} within ${timeoutMs / 1000} s (${fault}): ${hint}`,
      )
    }
    await sleep(100)
  }
}

/** All ranks must mean the same number of ranks: rank 0's counts. */
async function checkWorldSize({ rank, worldSize }: Launch, store: JobStore, until: number): Promise<void> {
  if (rank === 0) store.set('world', String(worldSize))
  for (;;) {
    const text = store.get('world')
    if (text !== undefined && Number(text) !== worldSize) {
      const message = `rank ${rank} was started as one of ${worldSize}, rank 0 as one of ${text}`
      store.set('refused', message)
      throw new PeerError('JOIN_FAILED', message, rank)
    }
    if (text !== undefined) return
    if (performance.now() > until)
      throw new PeerError('JOIN_FAILED', `rank ${rank} waited for rank 0, which did not come`, 0)
    await sleep(10)
  }
}

async function waitForAll(
  { worldSize }: Launch,
  store: JobStore,
  until: number,
  timeoutMs: number,
): Promise<void> {
  for (let waitMs = 5; store.add('joined', 0) < worldSize; waitMs = Math.min(200, waitMs * 1.5)) {
    const refused = store.get('refused')
    if (refused !== undefined) throw new PeerError('JOIN_FAILED', refused)
    if (performance.now() > until) {
      const missing = Array.from({ length: worldSize }, (_, r) => r).filter(
        (r) => store.get(`member/${r}`) === undefined,
      )
      const who = missing.length > 0 ? nameRanks(missing) : 'some ranks'
      throw new PeerError(
        'JOIN_FAILED',
        `${who} of ${worldSize} did not come to ${store.address} within ${timeoutMs / 1000} s`,
        missing[0],
      )
    }
    await sleep(waitMs)
  }
}

/** Rank 0 writes the list of members once, so that nobody asks for each of them. */
async function readRoster({ rank, worldSize }: Launch, store: JobStore): Promise<readonly Member[]> {
  if (rank === 0) {
    const members = Array.from({ length: worldSize }, (_, r) => store.get(`member/${r}`)!)
    store.set('members', `[${members.join()}]`)
  }
  for (;;) {
    const text = store.get('members')
    if (text !== undefined) return JSON.parse(text) as Member[]
    await sleep(5)
  }
}
