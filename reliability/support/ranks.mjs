import { readFileSync } from 'node:fs'
import path from 'node:path'
import { readEvents } from '@adapt-ts/adapt'
import { adapt, adaptBin, Child, sleep, startAdapt } from './child.mjs'
import { newestCheckpoint } from './digest.mjs'

/** Longest that a job may take to notice a rank that is gone. */
export const NOTICE_MS = 15_000
export const STEPS = ['training.max_steps=200', 'training.save_steps=50', 'evaluation={}']

export const LONG_WAITS = { count: 0, failures: [], figure: '', skipped: 'in full only: it waits' }

const launchArgs = (workshop, name, numRanks, set, flags = []) => {
  const [, ...rest] = workshop.trainArgs(name, set)
  return ['launch', '--nproc', String(numRanks), ...flags, ...rest]
}

/** Runs `adapt launch` to its end. */
export const launch = (workshop, name, numRanks, set, flags) =>
  adapt(launchArgs(workshop, name, numRanks, set, flags), { cwd: workshop.root })

/** Starts `adapt launch`. */
export const startJob = (workshop, name, numRanks, set, flags) =>
  startAdapt(launchArgs(workshop, name, numRanks, set, flags), { cwd: workshop.root })

/**
 * Starts ranks without a launcher.
 * @param {(rank: number) => { set?: string[], env?: object, prefix?: string[], node?: string[] }} [of] what a rank has of its
 *   own: assignments, environment, what its command begins with, options of Node
 */
export function startRanks(workshop, name, numRanks, set, port, of = () => ({})) {
  return Array.from({ length: numRanks }, (_, rank) => {
    const { set: own = [], env, prefix = [], node = [] } = of(rank)
    const train = workshop.trainArgs(name, [...set, ...own])
    const [command, ...args] = [...prefix, process.execPath, ...node, adaptBin, ...train]
    const place = { RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: numRanks, LOCAL_WORLD_SIZE: numRanks }
    const meeting = { MASTER_ADDR: '127.0.0.1', MASTER_PORT: port }
    return new Child(command, args, { cwd: workshop.root, env: { ...place, ...meeting, ...env } })
  })
}

/** Process of a rank that a launched job has, or undefined. */
export function processOf(job, rank) {
  const file = (pid, name) => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'utf8')
    } catch {
      return ''
    }
  }
  const children = file(job.process.pid, `task/${job.process.pid}/children`).trim().split(' ')
  return children
    .map(Number)
    .find((pid) => pid > 0 && file(pid, 'environ').split('\0').includes(`RANK=${rank}`))
}

/** Events that a run has recorded. */
export function eventsOf(workshop, name) {
  try {
    return readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events
  } catch {
    return []
  }
}

/** Steps that a run has recorded. */
export const stepsOf = (workshop, name) =>
  eventsOf(workshop, name).findLast(({ type }) => type === 'step')?.step ?? 0

/** Waits until a run has so many steps or its job, or rank 0, is over. */
export async function atStep(workshop, job, name, step) {
  while (job.isRunning && stepsOf(workshop, name) < step) await sleep(10)
}

/** The same, then for the rank to be there. */
export async function rankAtStep(workshop, job, name, rank, step) {
  await atStep(workshop, job, name, step)
  for (;;) {
    const pid = processOf(job, rank)
    if (pid !== undefined || !job.isRunning) return pid
    await sleep(5)
  }
}

/** Whether what a job or a rank said on its end names a rank. */
export const names = ({ stderr }, rank) => new RegExp(`rank ${rank}\\b`).test(stderr)

/** What is wrong with the checkpoints of a run, if anything. */
export function damageOf(workshop, name) {
  const { damaged } = newestCheckpoint(path.join(workshop.runFolder(name), 'checkpoints'))
  return damaged.length > 0 && `half published: ${damaged.join(' | ')}`
}
