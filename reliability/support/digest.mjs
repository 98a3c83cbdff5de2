import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import * as adapt from '@adapt-ts/adapt'

/** Fields of events that hold wall-clock times; everything else must be the same to the bit. */
const CLOCK_FIELDS = new Set(['time', 'stepMs', 'signalMs', 'refreshMs', 'tokensPerSecond'])
/** Events that tell of the run, not of a process. */
const TRAINING_EVENTS = new Set(['step', 'refresh', 'calibration', 'evaluation'])

const sha256 = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** Steps of the checkpoint folders, oldest first, whole or not. */
export function checkpointSteps(runFolder) {
  const folder = path.join(runFolder, 'checkpoints')
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => /^step-\d+$/.test(name))
  return names.map((name) => Number(name.slice(5))).sort((a, b) => a - b)
}

export const checkpointFolder = (runFolder, step) => path.join(runFolder, 'checkpoints', `step-${step}`)

/**
 * The newest checkpoint under a `checkpoints` folder that its manifest vouches for, as the library sees it, and what it says
 * of newer ones.
 */
export function newestCheckpoint(folder) {
  const damaged = []
  const found = new adapt.CheckpointStore(folder).newest((error) => damaged.push(error.message))
  return { step: found?.step, damaged }
}

/** Names of what a save or an open leaves only while it is at work. */
export function leftovers(runFolder) {
  const isTemporary = (name) => /\.tmp(-|$)|\.old$/.test(name)
  return readdirSync(runFolder, { recursive: true }).filter((name) => isTemporary(path.basename(name)))
}

/** The history that counts of a run's events, without clocks, as one line of JSON each. */
export function eventLines(runFolder) {
  const { events } = adapt.readEvents(path.join(runFolder, 'events.jsonl'))
  return adapt
    .currentEvents(events)
    .filter(({ type }) => TRAINING_EVENTS.has(type))
    .map((event) => exact(withoutClocks(event)))
}

const withoutClocks = (event) =>
  Object.fromEntries(Object.entries(event).filter(([name]) => !CLOCK_FIELDS.has(name)))

/** One line of JSON that, unlike JSON's own, tells NaN, the infinities and -0 apart. */
const exact = (value) =>
  `${JSON.stringify(value, (_, v) => (typeof v !== 'number' || (Number.isFinite(v) && !Object.is(v, -0)) ? v : `#${Object.is(v, -0) ? '-0' : v}`))}\n`

/**
 * Every row of the ledger by step, then rank, wherever its parts end: step, rank, sample, source, score, weight, sample weight,
 * loss, tokens.
 */
export async function ledgerRows(runFolder) {
  const rows = []
  for await (const part of adapt.readLedger(path.join(runFolder, 'ledger'))) {
    for (let i = 0; i < part.rows; i++) {
      rows.push({
        step: part.step[i],
        rank: part.rank,
        sample: part.sample[i],
        source: part.source[i],
        numbers: [part.score[i], part.weight[i], part.sampleWeight[i], part.loss[i]],
        tokens: part.tokens[i],
      })
    }
  }
  return rows.sort((a, b) => a.step - b.step || a.rank - b.rank)
}

/**
 * What a finished run left, as one SHA-256 per part: weights, moments, method state, cursor and counters of the last
 * checkpoint, the published model, the events without clocks, the ledger row by row.
 * @returns {Promise<Record<string, string>>}
 */
export async function digestRun(runFolder) {
  const step = checkpointSteps(runFolder).at(-1)
  if (step === undefined) throw new Error(`${runFolder}: no checkpoint`)
  const file = (name) => sha256(readFileSync(path.join(checkpointFolder(runFolder, step), name)))
  const rows = await ledgerRows(runFolder)
  return {
    step: String(step),
    weights: file('model.safetensors'),
    moments: file('optimizer.safetensors'),
    method: file('method.safetensors'),
    state: file('state.json'),
    model: sha256(readFileSync(path.join(runFolder, 'model/model.safetensors'))),
    events: sha256(...eventLines(runFolder)),
    ledger: sha256(...rows.map(exact)),
  }
}

/** The single figure of a digest. */
export const overall = (digest) => sha256(JSON.stringify(digest))

/** Names of the parts in which two digests differ, '' when they are equal. */
export function difference(control, digest) {
  return Object.keys(control)
    .filter((name) => control[name] !== digest[name])
    .join(', ')
}

/** Step from which the newest process of a run went on. */
export function resumedFrom(runFolder) {
  const { events } = adapt.readEvents(path.join(runFolder, 'events.jsonl'))
  return events.findLast(({ type }) => type === 'run-start')?.step
}
