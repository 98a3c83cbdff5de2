import { ConfigError } from '../errors.js'
import type { JobNodes } from './supervise-ranks.js'

/** The place of this machine in a job, as options give it. */
export interface NodeOptions {
  readonly nproc?: number
  readonly nnodes?: number
  readonly nodeRank?: number
  readonly masterAddr?: string
  readonly masterPort?: number
}

/**
 * How many ranks to start here and which machine of a job this is: options first, then PET_*, which the training operators of Kubernetes set.
 *
 * @throws {ConfigError} LAUNCH_INCOMPLETE, OUT_OF_RANGE naming the option and the variable.
 */
export function readNodes(
  options: NodeOptions,
  env: Readonly<Record<string, string | undefined>>,
): { readonly numRanks: number; readonly nodes?: JobNodes } {
  const number = (value: number | undefined, variable: string, least: number): number | undefined => {
    if (value !== undefined) return value
    const text = env[variable]?.trim()
    if (text === undefined || text === '') return undefined
    if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        `launch: expected a whole number from ${least} on in ${variable}, received "${text}"`,
      )
    }
    return Number(text)
  }
  const numRanks = number(options.nproc, 'PET_NPROC_PER_NODE', 1)
  if (numRanks === undefined)
    throw new ConfigError('LAUNCH_INCOMPLETE', 'launch: expected --nproc, the ranks of this machine')
  const numNodes = number(options.nnodes, 'PET_NNODES', 1) ?? 1
  if (numNodes === 1) return { numRanks }
  const nodeRank = number(options.nodeRank, 'PET_NODE_RANK', 0)
  const masterAddr = options.masterAddr ?? env.PET_MASTER_ADDR ?? env.MASTER_ADDR
  const masterPort = number(options.masterPort, 'PET_MASTER_PORT', 1) ?? number(undefined, 'MASTER_PORT', 1)
  if (nodeRank === undefined || masterAddr === undefined || masterPort === undefined) {
    throw new ConfigError(
      'LAUNCH_INCOMPLETE',
      `launch: ${numNodes} machines need --node-rank, --master-addr and --master-port (or PET_NODE_RANK, PET_MASTER_ADDR, PET_MASTER_PORT)`,
    )
  }
  if (nodeRank >= numNodes) {
    throw new ConfigError(
      'OUT_OF_RANGE',
      `launch: machine ${nodeRank} of ${numNodes}: they are counted from 0 to ${numNodes - 1}`,
    )
  }
  const runId = env.PET_RDZV_ID ?? `${masterAddr}:${masterPort}`
  return { numRanks, nodes: { numNodes, nodeRank, masterAddr, masterPort, runId } }
}
