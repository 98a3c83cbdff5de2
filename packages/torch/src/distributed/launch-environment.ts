import { TorchError } from '../errors.js'

type Env = Readonly<Record<string, string | undefined>>

/** One process of a job, as its launcher describes it. */
export interface Launch {
  readonly launcher: 'torchrun' | 'slurm' | 'kubernetes' | 'environment'
  readonly rank: number
  readonly worldSize: number
  /** Rank among the processes of this machine. */
  readonly localRank: number
  /** Processes on this machine; undefined where the launcher does not say. */
  readonly localWorldSize: number | undefined
  /** Where the ranks meet. */
  readonly masterAddr: string
  readonly masterPort: number
  /** The launcher listens there already; else rank 0 does. */
  readonly agentStore: boolean
  /** Name of the job and number of its restarts: what an earlier attempt left in a store that lives on is not seen. */
  readonly runId: string
  readonly restartCount: number
}

/** PyTorch's port where nothing names one. */
const DEFAULT_PORT = 29500

/**
 * How this process was started, from its environment; undefined when it is alone. The first that is there: RANK and WORLD_SIZE (torchrun,
 * `adapt launch`, by hand), a step of `srun` (SLURM_*), PET_* of Kubernetes with one process per pod.
 *
 * @throws {TorchError} LAUNCH_ENVIRONMENT for half a launch, or one that cannot be meant; the message names the variables.
 */
export function readLaunch(env: Env): Launch | undefined {
  return fromRankVariables(env) ?? fromSlurm(env) ?? fromPetVariables(env)
}

function fault(message: string): never {
  throw new TorchError('LAUNCH_ENVIRONMENT', message)
}

/** The variable as a whole number from `least` on; undefined when it is not set. */
function wholeNumber(env: Env, name: string, least = 0): number | undefined {
  const text = env[name]?.trim()
  if (!text) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    fault(`${name} is "${text}": expected a whole number${least > 0 ? ` from ${least} on` : ''}`)
  return Number(text)
}

function placed(launch: Launch): Launch {
  if (launch.rank >= launch.worldSize)
    fault(`rank ${launch.rank} of ${launch.worldSize} processes: ranks go from 0 to ${launch.worldSize - 1}`)
  if (launch.masterPort > 65535) fault(`MASTER_PORT is ${launch.masterPort}: ports end at 65535`)
  return launch
}

function fromRankVariables(env: Env): Launch | undefined {
  const rank = wholeNumber(env, 'RANK')
  const worldSize = wholeNumber(env, 'WORLD_SIZE', 1)
  if (rank === undefined && worldSize === undefined) return undefined
  if (rank === undefined || worldSize === undefined) {
    const [is, isNot] = rank === undefined ? ['WORLD_SIZE', 'RANK'] : ['RANK', 'WORLD_SIZE']
    fault(`${is} is set, ${isNot} is not: a process of a job needs both, a process by itself neither`)
  }
  const localRank = wholeNumber(env, 'LOCAL_RANK')
  const perPod = env.PET_NPROC_PER_NODE
  // A PyTorchJob counts pods in RANK and processes in WORLD_SIZE.
  if (localRank === undefined && perPod !== undefined && perPod !== '1')
    fault(
      `PET_NPROC_PER_NODE is ${perPod} and LOCAL_RANK is not set: RANK counts pods here; start the processes of a pod with torchrun or \`adapt launch\``,
    )
  const masterAddr = env.MASTER_ADDR?.trim()
  if (!masterAddr && worldSize > 1)
    fault('MASTER_ADDR is not set: the address at which rank 0 can be reached, 127.0.0.1 on one machine')
  return placed({
    launcher: env.TORCHELASTIC_RUN_ID === undefined ? 'environment' : 'torchrun',
    rank,
    worldSize,
    localRank: localRank ?? 0,
    localWorldSize: wholeNumber(env, 'LOCAL_WORLD_SIZE', 1),
    masterAddr: masterAddr || '127.0.0.1',
    masterPort: wholeNumber(env, 'MASTER_PORT', 1) ?? DEFAULT_PORT,
    agentStore: env.TORCHELASTIC_USE_AGENT_STORE?.toLowerCase() === 'true',
    runId: env.TORCHELASTIC_RUN_ID ?? '',
    restartCount: wholeNumber(env, 'TORCHELASTIC_RESTART_COUNT') ?? 0,
  })
}

/** A shell that salloc or srun opened for a person is no task of a job. */
const INTERACTIVE = new Set(['bash', 'sh', 'zsh', 'interactive'])

function fromSlurm(env: Env): Launch | undefined {
  const rank = wholeNumber(env, 'SLURM_PROCID')
  const worldSize = wholeNumber(env, 'SLURM_STEP_NUM_TASKS', 1) ?? wholeNumber(env, 'SLURM_NTASKS', 1)
  if (rank === undefined || worldSize === undefined || worldSize === 1) return undefined
  if (INTERACTIVE.has(env.SLURM_JOB_NAME ?? '')) return undefined
  if (env.SLURM_STEP_ID === undefined)
    fault(
      `this Slurm job has ${worldSize} tasks and this process was started without srun: write srun before the command`,
    )
  const job = env.SLURM_JOB_ID ?? ''
  const perNode = /^\d+/.exec(env.SLURM_STEP_TASKS_PER_NODE ?? env.SLURM_TASKS_PER_NODE ?? '')?.[0]
  const nodes = env.SLURM_STEP_NODELIST ?? env.SLURM_JOB_NODELIST
  const masterAddr = env.MASTER_ADDR?.trim() || (nodes && firstHost(nodes))
  if (!masterAddr) fault('SLURM_JOB_NODELIST is not set: set MASTER_ADDR to the host of task 0')
  return placed({
    launcher: 'slurm',
    rank,
    worldSize,
    localRank: wholeNumber(env, 'SLURM_LOCALID') ?? 0,
    localWorldSize: perNode === undefined ? undefined : Number(perNode),
    masterAddr,
    // Two jobs on one machine seldom have the same last digits.
    masterPort: wholeNumber(env, 'MASTER_PORT', 1) ?? 15000 + Number(job.replace(/\D/g, '').slice(-4)),
    agentStore: false,
    runId: `${job}.${env.SLURM_STEP_ID}`,
    restartCount: wholeNumber(env, 'SLURM_RESTART_COUNT') ?? 0,
  })
}

/** First host of Slurm's list: `gpu[01-04,07],login` is gpu01. */
export function firstHost(nodeList: string): string {
  const [, prefix = '', range = '', suffix = ''] = /^([^,[]*)(?:\[([^\]]*)\])?([^,[]*)/.exec(nodeList.trim())!
  return prefix + (range.split(/[,-]/)[0] ?? '') + suffix
}

function fromPetVariables(env: Env): Launch | undefined {
  const nodes = env.PET_NNODES?.trim()
  const perNode = env.PET_NPROC_PER_NODE?.trim() || '1'
  const rank = wholeNumber(env, 'PET_NODE_RANK')
  if (!nodes || (nodes === '1' && perNode === '1')) return undefined
  if (perNode !== '1' || !/^\d+$/.test(nodes) || rank === undefined)
    fault(
      `PET_NNODES is ${nodes} and PET_NPROC_PER_NODE is ${perNode}: these are for a launcher; start the processes with \`adapt launch\` or torchrun`,
    )
  const masterAddr = env.PET_MASTER_ADDR?.trim()
  if (!masterAddr) fault('PET_MASTER_ADDR is not set: the address at which node 0 can be reached')
  return placed({
    launcher: 'kubernetes',
    rank,
    worldSize: Number(nodes),
    localRank: 0,
    localWorldSize: 1,
    masterAddr,
    masterPort: wholeNumber(env, 'PET_MASTER_PORT', 1) ?? DEFAULT_PORT,
    agentStore: false,
    runId: env.PET_RDZV_ID ?? '',
    restartCount: 0,
  })
}
