import path from 'node:path'
import { adaptBin, describeEnd, inParallel, sleep } from '../support/child.mjs'
import { checkpointSteps, difference, digestRun, leftovers, resumedFrom } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { createRandom, spread } from '../support/random.mjs'
import { controlRun } from '../support/runs.mjs'
import { callsUnder, runTraced, straceProblem } from '../support/strace.mjs'
import { Workshop } from '../support/workshop.mjs'

/** Few steps, two saves, the first of them pruned. */
export const SHORT = [
  'training.max_steps=6',
  'training.save_steps=3',
  'training.save_total_limit=1',
  'evaluation.every_steps=4',
  'method.signal.refresh_every=2',
  'method.gate.update_every=2',
  'training.warmup_steps=1',
]
/** A call is found by its count, which other threads' wake-ups shift a little; so many times a missed one is tried again. */
const PASSES = 6
const RANDOM_SEED = 3

export const killPoints = {
  id: '3',
  title: '`kill -9` at any instruction of a save never loses more than one interval',
  tested:
    'SIGKILL by strace before each write, fsync, rename, unlink, mkdir, truncate and file creation on the run folder of a ' +
    'run with two saves, and at random times; the command then goes on from the newest published checkpoint to the digest ' +
    'of the control',
  async run({ mode, log, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const problem = straceProblem(log)
    const control = await controlRun(workshop, SHORT)
    let figure = ''
    let left
    if (problem === undefined) {
      const points = await enumeratePoints(workshop, 'dry')
      const chosen = mode === 'full' ? points : samplePoints(points)
      log(`${points.length} write-class calls on the run folder, killing before ${chosen.length}`)
      const hit = await killAtPoints(workshop, chosen, points, control, tally, log)
      figure = `${hit.size} of ${points.length} kill points, `
      const missed = chosen.filter(({ key }) => !hit.has(key)).length
      if (missed > chosen.length / 5) tally.add('coverage', `${missed} calls were never met`)
      else if (missed > 0)
        left = `${missed} calls were not met, because their counts shift with other threads`
    }
    const numRandom = mode === 'full' ? 100 : 5
    log(`${numRandom} kills at random times, seed ${RANDOM_SEED}`)
    await killAtRandom(workshop, numRandom, control, tally)
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${figure}${numRandom} random kills, ${tally.failures.length} failures`,
      ...(problem === undefined ? {} : { partly: `no kills at each call: ${problem}` }),
      ...(left === undefined ? {} : { partly: left }),
    }
  },
}

/** The command line of a traced run of a name. */
export const tracedCommand = (workshop, name) => [
  process.execPath,
  adaptBin,
  ...workshop.trainArgs(name, SHORT),
]

/**
 * The write-class calls on the run folder of one undisturbed run, in order. `key` tells a call apart from the others by
 * name, place in the folder and how many of its kind came before; `published` is the step of the newest checkpoint by then.
 */
export async function enumeratePoints(workshop, name) {
  const folder = workshop.runFolder(name)
  const { code, calls, stderr } = await runTraced(
    workshop.file(`${name}.trace`),
    tracedCommand(workshop, name),
    {
      cwd: workshop.root,
      fast: true,
    },
  )
  if (code !== 0) throw new Error(`the traced run failed: ${stderr.slice(0, 300)}`)
  return keyed(calls, folder)
}

/** Names that do not depend on the process: its id is cut out. */
const stable = (folder, paths) =>
  paths
    .map((name) => path.relative(folder, name).replace(/\d{3,}(?=\.(tmp|stale)|$|\/|\.old)/g, 'PID'))
    .join(' -> ')

function keyed(calls, folder) {
  const seen = new Map()
  let published = 0
  return callsUnder(calls, folder).map((call) => {
    const what = `${call.name} ${stable(folder, call.paths)}`
    const nth = (seen.get(what) ?? 0) + 1
    seen.set(what, nth)
    const point = { ...call, key: `${what} #${nth}`, published }
    const target = /\/checkpoints\/step-(\d+)$/.exec(call.paths.at(-1))
    if (call.name.startsWith('rename') && target && call.finished && !call.failed)
      published = Number(target[1])
    return point
  })
}

/** Every kind of call on every kind of file at least once, spread over the run. */
function samplePoints(points) {
  const kinds = new Map()
  for (const point of points) {
    const kind = point.name.replace(/at2?$|64$/, '')
    const inCheckpoint = point.paths.some((name) => name.includes('/checkpoints'))
    if (inCheckpoint) kinds.set(`${kind} checkpoint`, [...(kinds.get(`${kind} checkpoint`) ?? []), point])
  }
  const chosen = [...kinds.values()].flatMap((list) => spread(list, 2))
  return [...new Set([...chosen, ...spread(points, 6)])]
}

async function killAtPoints(workshop, chosen, points, control, tally, log) {
  const hit = new Set()
  const shifts = new Map()
  const byKey = new Map(points.map((point) => [point.key, point]))
  let todo = chosen
  for (let pass = 0; pass < PASSES && todo.length > 0; pass++) {
    let done = 0
    await inParallel(todo, async (point, i) => {
      const name = `kill-${pass}-${i}`
      const shift = shifts.get(point.key) ?? 0
      const at = await killBefore(workshop, name, { ...point, nth: Math.max(1, point.nth + shift) })
      if (at !== undefined) hit.add(at.key)
      shifts.set(point.key, shift + tooEarly(point, byKey.get(at?.key)))
      await resumeAndCompare(workshop, name, control, tally, at?.key ?? `near ${point.key}`, at?.published)
      if (++done % 50 === 0) log(`  ${done} of ${todo.length} kills, ${tally.failures.length} failures`)
    })
    todo = chosen.filter(({ key }) => !hit.has(key))
  }
  return hit
}

/** By how many calls of its name a process died before the one that was meant; 1 when it died at none that is known. */
const tooEarly = (meant, met) => (met?.name === meant.name ? meant.nth - met.nth : 1)

/** Runs until the call and kills; returns the call in which the process really died, which may be a neighbour. */
async function killBefore(workshop, name, point) {
  const inject = `${point.name}:signal=KILL:when=${point.nth}`
  const log = workshop.file(`${name}.trace`)
  const { calls } = await runTraced(log, tracedCommand(workshop, name), { cwd: workshop.root, inject })
  const own = keyed(calls, workshop.runFolder(name))
  return own.find(({ finished }) => !finished)
}

async function resumeAndCompare(workshop, name, control, tally, label, published) {
  const folder = workshop.runFolder(name)
  const ended = await workshop.train(name, SHORT)
  const finishedBefore = ended.code === 2 && /finished run/.test(ended.stderr)
  if (ended.code !== 0 && !finishedBefore) return tally.add(`killed before ${label}`, describeEnd(ended))
  const from = resumedFrom(folder)
  if (published !== undefined && !finishedBefore && from !== published) {
    return tally.add(`killed before ${label}`, `went on from step ${from}, expected ${published}`)
  }
  const parts = difference(control.digest, await digestRun(folder))
  if (parts) return tally.add(`killed before ${label}`, `differs in ${parts}`)
  const left = leftovers(folder)
  return tally.add(`killed before ${label}`, left.length > 0 && !finishedBefore && `left ${left.join(', ')}`)
}

async function killAtRandom(workshop, count, control, tally) {
  const random = createRandom(RANDOM_SEED)
  const moments = Array.from({ length: count }, () => random() * control.ms)
  await inParallel(moments, async (ms, i) => {
    const name = `random-${i}`
    // Mostly in the second half of the time: the first is the start of the process.
    const child = workshop.start(name, SHORT)
    await sleep(i % 4 === 0 ? ms : control.ms / 2 + ms / 2)
    child.killGroup('SIGKILL')
    await child.ended
    const before = checkpointSteps(workshop.runFolder(name)).at(-1)
    await resumeAndCompare(workshop, name, control, tally, `${seconds(ms)}, checkpoint ${before ?? 'none'}`)
  })
}
