import { describeEnd, sleep } from '../support/child.mjs'
import { difference, digestRun } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { canMakeNamespaces, LinkedRanks } from '../support/linked-ranks.mjs'
import { createRandom } from '../support/random.mjs'
import { atStep, damageOf, eventsOf, LONG_WAITS, names, STEPS } from '../support/ranks.mjs'
import { Workshop } from '../support/workshop.mjs'

const SEED = 39
const PORT = 29_800
const CUT_MS = 3_000
/** Rank 1 then waits 6 s for an answer of the store. */
const START_CUT_MS = 5_000
const LIMIT_MS = 5_000
/** After the limit: last words, which the link does not carry, and the end of a process. */
const END_MS = 5_000
/** TCP asks again after ever longer pauses: a link that was away for 3 s is found again after twice that. */
const PATIENT = [...STEPS, 'training.ddp_timeout=20']
const IMPATIENT = [...STEPS, 'training.max_steps=100000', `training.ddp_timeout=${LIMIT_MS / 1000}`]

export const partition = {
  id: '39',
  title: 'A partition is either healed or ended',
  tested:
    'Two ranks in network namespaces, their link down for 5 s before the first step and for 3 s at random steps: the digest of the run that was ' +
    'not disturbed; down for good with a limit of 5 s: both end with exit 6 within 10 s and name each other, every checkpoint whole',
  async run({ mode, workDir, log }) {
    const problem = canMakeNamespaces()
    if (problem !== undefined)
      return { ...LONG_WAITS, skipped: `no network namespaces can be made: ${problem}` }
    if (mode === 'sample') return LONG_WAITS
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const link = new LinkedRanks()
    try {
      const pauses = await heal(workshop, link, tally, log)
      const delays = await cut(workshop, link, tally)
      const [pause, delay] = [pauses, delays].map((times) => seconds(Math.max(...times)))
      return { ...tally, figure: `${tally.share}; longest pause ${pause}, last end ${delay} after the cut` }
    } finally {
      link.dispose()
    }
  },
}

const random = createRandom(SEED)
const randomSteps = (count) => Array.from({ length: count }, () => 1 + Math.floor(random() * 190))
/** Step 0: rank 0 reads the data, and rank 1 asks the store now and then whether it is done. */
async function isAt(workshop, rank, name, step) {
  if (step > 0) return await atStep(workshop, rank, name, step)
  while (rank.isRunning && rank.stdout === '') await sleep(5)
}

async function heal(workshop, link, tally, log) {
  const control = await Promise.all(link.start(workshop, 'control', PATIENT, PORT).map((rank) => rank.ended))
  if (control[0].code !== 0) throw new Error(`control: ${describeEnd(control[0])}`)
  const digest = await digestRun(workshop.runFolder('control'))
  const pauses = []
  const cuts = [[0, START_CUT_MS], ...randomSteps(3).map((step) => [step, CUT_MS])]
  for (const [i, [step, ms]] of cuts.entries()) {
    const name = `healed-${i}`
    const ranks = link.start(workshop, name, PATIENT, PORT + 1 + i)
    await isAt(workshop, ranks[0], name, step)
    link.setLink('down')
    await sleep(ms)
    link.setLink('up')
    const ends = await Promise.all(ranks.map(({ ended }) => ended))
    const failed = ends.find(({ code }) => code !== 0)
    const title = `${ms / 1000} s without a link at step ${step}`
    const parts = failed || difference(digest, await digestRun(workshop.runFolder(name)))
    if (!tally.add(title, failed ? describeEnd(failed) : parts && `differs in ${parts}`)) continue
    if (step === 0) continue
    pauses.push(longestPause(workshop, name))
    tally.add(`${title}: was cut`, pauses.at(-1) < CUT_MS && 'no step waited for the link')
    log(`${title}: ${seconds(pauses.at(-1))} between two steps`)
  }
  return pauses
}

function longestPause(workshop, name) {
  const times = eventsOf(workshop, name).flatMap(({ type, time }) => (type === 'step' ? [time] : []))
  return Math.max(...times.slice(1).map((time, i) => (time - times[i]) * 1000))
}

async function cut(workshop, link, tally) {
  const delays = []
  for (const [i, step] of [0, ...randomSteps(3)].entries()) {
    const name = `cut-${i}`
    const ranks = link.start(workshop, name, IMPATIENT, PORT + 10 + i)
    await isAt(workshop, ranks[0], name, step)
    link.setLink('down')
    const since = performance.now()
    const times = await Promise.all(ranks.map(async ({ exitedAt }) => (await exitedAt) - since))
    const ends = await Promise.all(ranks.map(({ ended }) => ended))
    link.setLink('up')
    delays.push(...times)
    for (const [rank, end] of ends.entries())
      tally.add(`rank ${rank} cut off at step ${step}`, cutProblem(end, times[rank], 1 - rank))
    tally.add(`checkpoints of a run cut off at step ${step}`, damageOf(workshop, name))
  }
  return delays
}

function cutProblem(end, delay, other) {
  if (end.code !== 6) return `expected exit 6, got ${describeEnd(end)}`
  if (delay > LIMIT_MS + END_MS) return `took ${seconds(delay)}`
  return !names(end, other) && `rank ${other} is not named: ${describeEnd(end)}`
}
