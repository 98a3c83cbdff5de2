import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { Child, describeEnd, sleep } from '../support/child.mjs'
import { difference, digestRun, newestCheckpoint } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { createRandom, quantile } from '../support/random.mjs'
import {
  atStep,
  damageOf,
  eventsOf,
  LONG_WAITS,
  launch,
  NOTICE_MS,
  names,
  processOf,
  rankAtStep,
  STEPS,
  startJob,
  startRanks,
  stepsOf,
} from '../support/ranks.mjs'
import { fillDiskOf, straceProblem } from '../support/strace.mjs'
import { Workshop } from '../support/workshop.mjs'

const SEED = 34

export const deadRank = {
  id: '34',
  title: 'A rank that dies takes the job down cleanly and quickly',
  tested:
    'SIGKILL to one of 3 ranks at random moments from its start to the last save: exit 6 within 15 s, the rank named, nobody left, no ' +
    'failure.json of a survivor, the newest checkpoint whole. SIGKILL to the launcher: its ranks save and leave; to a store that is no ' +
    "rank's: the digest; ENOSPC for the ledger of one rank at each save: exit 5, rank and disk named, failure.json of that rank. " +
    'Afterwards the command goes on to the digest',
  async run({ mode, workDir, log }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const random = createRandom(SEED)
    const delays = []
    const cases = Array.from({ length: mode === 'full' ? 20 : 1 }, () => [random(), random()])
    for (const [i, [who, when]] of cases.entries()) {
      const name = `dead-${i}`
      const rank = Math.floor(who * 3)
      const step = Math.floor(when * 190)
      const job = startJob(workshop, name, 3, STEPS)
      const pid = await rankAtStep(workshop, job, name, rank, step)
      const title = `rank ${rank} after step ${step}`
      if (pid === undefined) {
        tally.add(title, 'the job was over')
        continue
      }
      const sent = performance.now()
      process.kill(pid, 'SIGKILL')
      delays.push((await job.exitedAt) - sent)
      const ended = await job.ended
      tally.add(title, deathProblem(workshop, name, job, ended, rank, delays.at(-1)))
    }
    const problem = mode === 'full' ? await goOnAfter(workshop, tally, log) : undefined
    return {
      ...tally,
      ...(problem === undefined ? {} : { partly: `no full disk: ${problem}` }),
      figure: `${tally.share}; to the end of the job p50 ${seconds(quantile(delays, 0.5))}, p100 ${seconds(quantile(delays, 1))}`,
    }
  },
}

function deathProblem(workshop, name, job, ended, rank, delay) {
  if (ended.code !== 6) return `expected exit 6, got ${describeEnd(ended)}`
  if (delay > NOTICE_MS) return `took ${seconds(delay)}`
  if (!names(ended, rank)) return `the rank is not named: ${describeEnd(ended)}`
  if (job.hasOrphans) return 'a rank goes on for nobody'
  if (existsSync(path.join(workshop.runFolder(name), 'failure.json'))) return 'a survivor left failure.json'
  return damageOf(workshop, name)
}

/** Faults after which the same command goes on: the launcher is killed, the disk of one rank is full. */
async function goOnAfter(workshop, tally, log) {
  const control = await launch(workshop, 'control', 2, STEPS)
  if (control.code !== 0) throw new Error(`control: ${describeEnd(control)}`)
  const digest = await digestRun(workshop.runFolder('control'))
  const goOn = async (title, name) => {
    const ended = await launch(workshop, name, 2, STEPS)
    const parts = ended.code === 0 && difference(digest, await digestRun(workshop.runFolder(name)))
    tally.add(`${title}, went on`, ended.code !== 0 ? describeEnd(ended) : parts && `differs in ${parts}`)
  }
  tally.add('launcher killed', await killLauncher(workshop, 'no-launcher'))
  await goOn('launcher killed', 'no-launcher')
  await loseStore(workshop, digest, tally)
  const problem = straceProblem(log)
  if (problem !== undefined) return problem
  for (const rank of [0, 1]) {
    tally.add(`full disk of rank ${rank}`, await fillDisk(workshop, `full-${rank}`, rank))
    await goOn(`full disk of rank ${rank}`, `full-${rank}`)
  }
}

async function killLauncher(workshop, name) {
  const job = startJob(workshop, name, 2, STEPS)
  await atStep(workshop, job, name, 60)
  const pids = [0, 1].map((rank) => processOf(job, rank))
  job.kill('SIGKILL')
  const until = performance.now() + NOTICE_MS
  const isThere = (pid) => existsSync(`/proc/${pid}`)
  while (pids.some(isThere) && performance.now() < until) await sleep(50)
  if (pids.some(isThere)) return 'a rank goes on for nobody'
  return eventsOf(workshop, name).at(-1)?.status !== 'interrupted'
    ? 'the run does not know its end'
    : damageOf(workshop, name)
}

/** A store that no rank holds, as under torchrun: once the ranks have met, they need it no more. */
async function loseStore(workshop, digest, tally) {
  const holder = new Child(process.execPath, [path.join(import.meta.dirname, '../support/store-holder.mjs')])
  const port = await new Promise((resolve) => holder.onStdout(resolve))
  const ranks = startRanks(workshop, 'no-store', 2, STEPS, port.trim(), () => ({
    env: { TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RUN_ID: 'no-store' },
  }))
  await atStep(workshop, ranks[0], 'no-store', 60)
  holder.kill('SIGKILL')
  const ends = await Promise.all(ranks.map(({ ended }) => ended))
  const failed = ends.find(({ code }) => code !== 0)
  const parts = failed || difference(digest, await digestRun(workshop.runFolder('no-store')))
  tally.add('store lost', failed ? describeEnd(failed) : parts && `differs in ${parts}`)
}

/** From step 60 on no part of the ledger of that rank can be written, which is tried at three saves, the last at step 200. */
async function fillDisk(workshop, name, rank) {
  const job = startJob(workshop, name, 2, STEPS)
  const pid = await rankAtStep(workshop, job, name, rank, 60)
  const folder = workshop.runFolder(name)
  const part = (last) => `part-00000051-${String(last).padStart(8, '0')}-r${rank}.parquet.tmp`
  await fillDiskOf(
    pid,
    [100, 150, 200].map((last) => path.join(folder, 'ledger', part(last))),
  )
  await job.exitedAt
  const delay =
    Date.now() - 1000 * (eventsOf(workshop, name).findLast(({ type }) => type === 'step')?.time ?? 0)
  const ended = await job.ended
  if (ended.code !== 5) return `expected exit 5, got ${describeEnd(ended)}`
  if (delay > NOTICE_MS) return `took ${seconds(delay)}`
  const { code } = JSON.parse(readFileSync(path.join(folder, 'failure.json'), 'utf8'))
  if (code !== 'LEDGER_WRITE') return `failure.json of ${code}`
  const said = [
    new RegExp(`rank ${rank} failed with exit code 5`),
    /ledger: cannot write .*is the disk full\?/,
  ]
  if (!said.every((line) => line.test(ended.stderr))) return `rank and disk are not named: ${ended.stderr}`
  const { step } = newestCheckpoint(path.join(folder, 'checkpoints'))
  return step === 50 ? damageOf(workshop, name) : `the newest checkpoint is ${step}`
}

export const hangingRank = {
  id: '35',
  title: 'A rank that hangs is found',
  tested: 'SIGSTOP to a rank in training with a limit of 5 s: the others end with exit 6 and name it',
  async run({ mode, workDir }) {
    if (mode === 'sample') return LONG_WAITS
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const delays = []
    for (const rank of [0, 1, 2]) {
      const name = `hangs-${rank}`
      const job = startJob(workshop, name, 3, [
        ...STEPS,
        'training.max_steps=100000',
        'training.ddp_timeout=5',
      ])
      const pid = await rankAtStep(workshop, job, name, rank, 10)
      const sent = performance.now()
      process.kill(pid, 'SIGSTOP')
      delays.push((await job.exitedAt) - sent)
      const ended = await job.ended
      tally.add(
        `rank ${rank}`,
        ended.code !== 6
          ? `expected exit 6, got ${describeEnd(ended)}`
          : !names(ended, rank) && describeEnd(ended),
      )
    }
    return { ...tally, figure: `${tally.share}; to the end of the job p100 ${seconds(quantile(delays, 1))}` }
  },
}

/** Which rank, the ranks, how the optimiser is kept, the step after which a bit is another one. */
const FLIPS = [
  [1, 2, 'off', 63],
  [1, 2, 'auto', 100],
  [0, 3, 'off', 51],
]
const FLIPPED = 'model.layers.1.mlp.up_proj.weight'

export const equalReplicas = {
  id: '37',
  title: 'Replicas stay equal',
  tested:
    'One bit of a parameter of one rank flipped while it trains: exit 4 on all before step 100 is saved, the rank and the parameter named; ' +
    'the newest checkpoint is that of step 50',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const flip = path.join(import.meta.dirname, '../support/flip-bit.mjs')
    for (const [i, [rank, numRanks, sharding, step]] of (mode === 'full'
      ? FLIPS
      : FLIPS.slice(0, 1)
    ).entries()) {
      const set = [...STEPS, `training.sharded_optimizer="${sharding}"`]
      const own = { node: ['--import', flip], env: { ADAPT_FLIP: `${step} ${FLIPPED}` } }
      const ranks = startRanks(workshop, `flip-${i}`, numRanks, set, 29_750 + i, (of) =>
        of === rank ? own : {},
      )
      const ends = await Promise.all(ranks.map(({ ended }) => ended))
      const said = `step 100: ${FLIPPED} on rank ${rank} is not that of rank`
      const wrong = ends.find(({ code, stderr }) => code !== 4 || !stderr.includes(said))
      const { step: newest } = newestCheckpoint(path.join(workshop.runFolder(`flip-${i}`), 'checkpoints'))
      tally.add(
        `rank ${rank} of ${numRanks} after step ${step}, optimiser ${sharding}`,
        wrong
          ? describeEnd(wrong)
          : newest !== 50
            ? `the newest checkpoint is ${newest}`
            : damageOf(workshop, `flip-${i}`),
      )
    }
    return { ...tally, figure: `${tally.share} found at the next check` }
  },
}

/** A rank that is slowed down runs for 30 ms of 100. */
const [RUN_MS, STOP_MS] = [30, 70]
const TOLD_WITHIN = 50

export const slowRank = {
  id: '41',
  title: 'A slow rank is visible',
  tested:
    'One rank of two runs for 30 % of the time (SIGSTOP, SIGCONT): within 50 steps a warning that names it and its ' +
    'machine, in the log and on a line; none before',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const told = []
    for (const rank of mode === 'full' ? [0, 1] : [1]) {
      const name = `slow-${rank}`
      const job = startJob(workshop, name, 2, [
        ...STEPS,
        'training.max_steps=100000',
        'training.gradient_accumulation_steps=8',
      ])
      const pid = await rankAtStep(workshop, job, name, rank, 45)
      const isEarly = alertOf(workshop, name) !== undefined
      const from = stepsOf(workshop, name)
      while (
        job.isRunning &&
        alertOf(workshop, name) === undefined &&
        stepsOf(workshop, name) < from + TOLD_WITHIN
      ) {
        process.kill(pid, 'SIGSTOP')
        await sleep(STOP_MS)
        process.kill(pid, 'SIGCONT')
        await sleep(RUN_MS)
      }
      const alert = alertOf(workshop, name)
      job.kill('SIGTERM')
      const ended = await job.ended
      const line = `rank ${rank} on ${hostname()} works`
      told.push((alert?.step ?? NaN) - from)
      tally.add(`rank ${rank} before`, isEarly && 'called slow before it was')
      tally.add(
        `rank ${rank}`,
        !alert?.message.startsWith(line)
          ? `told: ${alert?.message ?? 'nothing'}`
          : !ended.stdout.includes(`warning: ${line}`) && 'not on a line',
      )
    }
    return { ...tally, figure: `${tally.share}; told after ${told.join(' and ')} steps` }
  },
}

const alertOf = (workshop, name) => eventsOf(workshop, name).find(({ code }) => code === 'SLOW_RANK')
