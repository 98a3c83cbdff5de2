import { changedConfig } from './changed-config.mjs'
import { damage } from './damage.mjs'
import { determinism } from './determinism.mjs'
import { diskFaults } from './disk-faults.mjs'
import { eventLog } from './event-log.mjs'
import { badRecords, damagedGzip, emptyInputs, strictText } from './inputs.mjs'
import { killPoints } from './kill-points.mjs'
import { oneWriter } from './one-writer.mjs'
import { partition } from './partition.mjs'
import { publishOrder } from './publish-order.mjs'
import { deadRank, equalReplicas, hangingRank, slowRank } from './rank-faults.mjs'
import { differentRanks, rankCount, restartedJob, takenPort } from './ranks.mjs'
import { resume } from './resume.mjs'
import { sampleOrder } from './sample-order.mjs'
import { secondInterrupt, termination } from './signals.mjs'
import { soak } from './soak.mjs'
import { streaming } from './streaming.mjs'
import { zeroWeights } from './zero-weights.mjs'

/**
 * What shows a promise on the real command.
 * @typedef {object} Check
 * @property {string} id number of the promise
 * @property {string} title
 * @property {string} tested what is done, in a sentence
 * @property {(context: Context) => Promise<Result>} run
 *
 * @typedef {{ mode: 'sample' | 'full', log: (line: string) => void, workDir: string }} Context
 *
 * @typedef {object} Result
 * @property {number} count cases tried
 * @property {string[]} failures one line each
 * @property {string} figure
 * @property {string} [skipped] why nothing was tried
 * @property {string} [partly] what could not be tried, and why
 */

/** @type {readonly Check[]} */
export const checks = [
  determinism,
  resume,
  killPoints,
  publishOrder,
  damage,
  oneWriter,
  changedConfig,
  rankCount,
  eventLog,
  badRecords,
  damagedGzip,
  strictText,
  emptyInputs,
  streaming,
  sampleOrder,
  zeroWeights,
  diskFaults,
  termination,
  secondInterrupt,
  soak,
  deadRank,
  hangingRank,
  differentRanks,
  equalReplicas,
  takenPort,
  partition,
  restartedJob,
  slowRank,
]
