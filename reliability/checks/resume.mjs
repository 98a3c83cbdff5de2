import path from 'node:path'
import { describeEnd, inParallel } from '../support/child.mjs'
import { difference, digestRun, resumedFrom } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { createRandom } from '../support/random.mjs'
import { controlRun, runUntil } from '../support/runs.mjs'
import { ACCUMULATED, Workshop } from '../support/workshop.mjs'

const SEED = 20
const STOPS_PER_CHAIN = { full: 10, sample: 5 }
export const resume = {
  id: '2',
  title: 'A stop at any step resumes bit-identically on CPU',
  tested:
    'Stop after k (by call and by SIGTERM at that step), go on with the command, compare weights, moments, method, ' +
    'cursor, events and ledger in order; also chains of 10 stops at random steps',
  async run({ mode, log, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    let chains = 0
    for (const [layout, set] of [
      ['accumulation 1', []],
      ['accumulation 4', ACCUMULATED],
    ]) {
      const layoutName = layout.replace(' ', '-')
      const { digest: control } = await controlRun(workshop, set, layoutName)
      const total = Number(control.step)
      const test = { workshop, set, control, total, tally }
      const stops =
        mode === 'full'
          ? stepsTo(total)
          : await sampledSteps(workshop.runFolder(layoutName), set.length === 0 ? 8 : 4)
      log(`${layout}: stops after ${stops.length} steps`)
      await inParallel(stops, (k) => stopAndResume(test, `${layoutName}-${k}`, [k], layout))
      const random = createRandom(SEED)
      const numChains = mode === 'full' ? 10 : set.length > 0 ? 1 : 0
      const chainStops = Array.from({ length: numChains }, () =>
        randomStops(random, total, STOPS_PER_CHAIN[mode]),
      )
      chains += numChains
      if (numChains > 0) log(`${layout}: ${numChains} chains, seed ${SEED}`)
      await inParallel(chainStops, (list, i) =>
        stopAndResume(test, `${layoutName}-chain-${i}`, list, `${layout}, seed ${SEED}, chain ${i}`),
      )
    }
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${tally.share} runs end at the digest of their control (${chains} chains of ${STOPS_PER_CHAIN[mode]} stops)`,
    }
  },
}

const stepsTo = (total) => Array.from({ length: total + 1 }, (_, k) => k)

/** Both ends, one before, at and after the end of the first epoch, and the middle of the second. */
async function sampledSteps(runFolder, count) {
  const { readEvents } = await import('@adapt-ts/adapt')
  const { events } = readEvents(path.join(runFolder, 'events.jsonl'))
  const steps = events.filter(({ type }) => type === 'step')
  const firstOf = (epoch) => steps.find((record) => record.epoch >= epoch)?.step ?? steps.length
  const end = firstOf(1) - 1
  const middle = Math.round((end + firstOf(2)) / 2)
  const stops = [end, 1, end + 1, middle, end - 1, 37, steps.length - 1, 0]
  return [...new Set(stops)].slice(0, count)
}

function randomStops(random, total, count) {
  const steps = stepsTo(total).slice(1, -1)
  const picked = new Set()
  while (picked.size < count) picked.add(steps[Math.floor(random() * steps.length)])
  return [...picked].sort((a, b) => a - b)
}

/** Odd stops come by a signal, even ones by a call. */
async function stopAndResume({ workshop, set, control, total, tally }, name, stops, label) {
  const runFolder = workshop.runFolder(name)
  const title = `${label}, stop after ${stops.join(', ')}`
  for (const step of stops) {
    const how = step % 2 === 1 ? 'SIGTERM' : 'api'
    const ended = await runUntil(workshop, name, step, set, how)
    const expected = how === 'api' ? 0 : 75
    if (ended.code !== expected) {
      return tally.add(title, `at step ${step} expected exit ${expected}, got ${describeEnd(ended)}`)
    }
  }
  const ended = await workshop.train(name, set)
  const last = stops.at(-1)
  if (ended.code !== 0 && !(last === total && ended.code === 2)) return tally.add(title, describeEnd(ended))
  const from = resumedFrom(runFolder)
  if (ended.code === 0 && from !== last) return tally.add(title, `went on from step ${from}`)
  const parts = difference(control, await digestRun(runFolder))
  return tally.add(title, parts && `differs in ${parts}`)
}
