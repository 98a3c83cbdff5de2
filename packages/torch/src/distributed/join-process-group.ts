import { TorchError } from '../errors.js'
import { engine } from '../native.js'
import { C10dGroup } from './c10d-group.js'
import { singleProcess } from './collective.js'
import { findEnded } from './end-of-job.js'
import type { Launch } from './launch-environment.js'
import type { Backend } from './links.js'
import { PeerError } from './peer-error.js'
import type { ProcessGroup } from './process-group.js'
import { meet } from './rendezvous.js'
import { TransportFailure } from './transport.js'

/** How a process joins the others. */
export interface JoinOptions {
  readonly launch: Launch
  /** How long a collective waits for the others. Default 300,000. */
  readonly timeoutMs?: number
  /** How long ranks wait for each other to start. Default: `timeoutMs`. */
  readonly joinTimeoutMs?: number
  /** Network interfaces of this machine, separated by commas. Default: GLOO_SOCKET_IFNAME, else that of this host's name. */
  readonly interfaces?: string | undefined
  /** Default `auto`: tensors of CUDA devices travel by NCCL where every rank has it and a device of its own, else over the host, by Gloo. */
  readonly backend?: Backend
}

/**
 * Joins the other processes of a job: over Gloo, and over NCCL once tensors of CUDA devices are to travel. A world of one needs no network.
 *
 * @throws {PeerError} JOIN_FAILED when the ranks do not find each other in time; PEER_FAILED when one fails or ends while they connect.
 * @throws {TorchError} NO_PROCESS_GROUPS where LibTorch was built without torch.distributed.
 */
export async function joinProcessGroup(options: JoinOptions): Promise<ProcessGroup> {
  const { launch, timeoutMs = 300_000 } = options
  if (launch.worldSize === 1) return aloneInTheWorld(launch)
  // LibTorch's own lines on sockets say nothing that the errors here do not.
  process.env.TORCH_CPP_LOG_LEVEL ??= 'FATAL'
  if (engine().native.groupOpen === undefined)
    throw new TorchError(
      'NO_PROCESS_GROUPS',
      'this LibTorch was built without torch.distributed: ranks cannot talk to each other',
    )
  const job = { rank: launch.rank, ...(await meet(launch, options.joinTimeoutMs ?? timeoutMs)) }
  try {
    const interfaces = options.interfaces ?? process.env.GLOO_SOCKET_IFNAME ?? ''
    return new C10dGroup(launch, job, timeoutMs, interfaces, options.backend ?? 'auto')
  } catch (error) {
    const ended = error instanceof TransportFailure ? findEnded(job, error.cause) : undefined
    job.store.close()
    if (ended !== undefined) throw ended
    const said = error instanceof TransportFailure ? error.cause : error
    const text = String((said as Error).message).split('\n', 1)[0]!
    throw new PeerError(
      'JOIN_FAILED',
      `rank ${launch.rank} cannot connect to the others: ${text}`,
      undefined,
      { cause: error },
    )
  }
}

function aloneInTheWorld(launch: Launch): ProcessGroup {
  return {
    ...singleProcess,
    ...{ launch, members: [], bytesSent: 0, waitedMs: 0 },
    travel: () => ({ backend: 'none' }),
    gatherNumbers: (values) => [[...values]],
    gatherText: (text) => [text],
    async meet() {},
    fail() {},
    requirePeers() {},
    async leave() {},
  }
}
