import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { currentSteps, EventWriter, readEvents } from '@adapt-ts/adapt'
import { crc32 } from '../../packages/adapt/dist/dataset/crc32.js'
import { describeEnd, inParallel } from '../support/child.mjs'
import { difference, digestRun } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { spread } from '../support/random.mjs'
import { controlRun, stopAt } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const SET = ['training.max_steps=24', 'training.save_steps=8']
const KILLED_AT = 21

export const eventLog = {
  id: '10',
  title: 'The metrics log is append-only, torn-write safe and gap-free',
  tested:
    'events.jsonl of a killed run cut at every byte of its last 3 records and read, written on and read again by the ' +
    'library; some cuts gone on with by the command; every step once, at the digest of the control. Lines and ledger parts that were ' +
    'removed are named when the run goes on, lines that were forged with a right CRC are refused by name',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const { digest: control } = await controlRun(workshop, SET)
    await stopAt(workshop, 'killed', KILLED_AT, SET, 'SIGKILL')
    const log = readFileSync(path.join(workshop.runFolder('killed'), 'events.jsonl'))
    const cuts = cutsOfLastRecords(log, 3)
    for (const cut of cuts)
      tally.add(`cut at byte ${cut}`, throughLibrary(workshop.file('cut.jsonl'), log, cut))
    const through = spread(cuts, mode === 'full' ? 60 : 4)
    await inParallel(through, async (cut, i) => {
      const folder = workshop.runFolder(`cut-${i}`)
      cpSync(workshop.runFolder('killed'), folder, { recursive: true })
      truncateSync(path.join(folder, 'events.jsonl'), cut)
      const resumed = await workshop.train(`cut-${i}`, SET)
      const title = `cut at byte ${cut}, through the command`
      if (resumed.code !== 0) return tally.add(title, describeEnd(resumed))
      const parts = difference(control, await digestRun(folder))
      return tally.add(
        title,
        parts ? `differs in ${parts}` : stepProblem(path.join(folder, 'events.jsonl'), 24),
      )
    })
    await removedAndForged(workshop, tally)
    return result(tally, through.length)
  },
}

/** What others do to the records of a run before it goes on: nothing of it passes in silence, none of it is a crash. */
async function removedAndForged(workshop, tally) {
  const lines = readFileSync(path.join(workshop.runFolder('killed'), 'events.jsonl'), 'utf8').split('\n')
  const isStep = (line, step) => line.startsWith(`{"type":"step","step":${step},`)
  const forge = (change) => {
    const event = JSON.parse(lines.find((line) => isStep(line, 3)))
    delete event.crc
    const body = JSON.stringify({ ...event, ...change })
    const crc = crc32(Buffer.from(body)).toString(16).padStart(8, '0')
    return lines.map((line) => (isStep(line, 3) ? `${body.slice(0, -1)},"crc":"${crc}"}` : line)).join('\n')
  }
  const log = (folder, text) => writeFileSync(path.join(folder, 'events.jsonl'), text)
  const removeParts = (folder) => rmSync(path.join(folder, 'ledger'), { recursive: true })
  const cases = [
    [
      'a line was removed',
      (folder) => log(folder, lines.filter((line) => !isStep(line, 3)).join('\n')),
      /steps 3:/,
    ],
    [
      'the log was removed',
      (folder) => rmSync(path.join(folder, 'events.jsonl')),
      /events\.jsonl lacks .* steps 1 to 16:/,
    ],
    ['the ledger was removed', removeParts, /ledger lacks .* steps 1 to 16:/],
    [
      'a field was removed',
      (folder) => log(folder, forge({ massBySource: undefined })),
      /massBySource is missing/,
    ],
    ['a text stands for a number', (folder) => log(folder, forge({ stepMs: 'long' })), /stepMs/],
    ['a step is none', (folder) => log(folder, forge({ step: -3 })), /step: expected a count/],
  ]
  await inParallel(cases, async ([title, change, said], i) => {
    const folder = workshop.runFolder(`changed-${i}`)
    cpSync(workshop.runFolder('killed'), folder, { recursive: true })
    change(folder)
    const ended = await workshop.train(`changed-${i}`, SET)
    const isNamed = said.test(`${ended.stdout}${ended.stderr}`)
    const isRefused = /field|text|none/.test(title)
    const fits = ended.code === (isRefused ? 7 : 0) && isNamed
    tally.add(title, !fits && `${describeEnd(ended)}${isNamed ? '' : ', and it is not named'}`)
  })
}

function result({ count, failures }, numCommand) {
  return {
    count,
    failures,
    figure: `${count} cuts (${numCommand} through the command), ${failures.length} failures`,
  }
}

/** Every place at which the file can end within its last records, from the whole record before them on. */
function cutsOfLastRecords(log, count) {
  let first = log.length - 1
  for (let i = 0; i < count; i++) first = log.lastIndexOf(0x0a, first - 1)
  return Array.from({ length: log.length - first }, (_, i) => first + 1 + i)
}

/** What is wrong with how a log that ends there is read and gone on with. */
function throughLibrary(file, log, cut) {
  writeFileSync(file, log.subarray(0, cut))
  const whole = log.subarray(0, cut).toString('utf8').split('\n')
  const read = readEvents(file).events
  // The piece after the last newline counts when only its newline is missing.
  const complete = whole.length - 1
  if (read.length < complete || read.length > complete + 1)
    return `${read.length} of ${complete} records read`
  const writer = new EventWriter(file)
  const start = read.find(({ type }) => type === 'run-start')
  const step = read.find(({ type }) => type === 'step')
  const checkpoint = 16
  try {
    writer.append({ ...start, step: checkpoint })
    for (let n = checkpoint + 1; n <= 24; n++) writer.append({ ...step, step: n })
  } finally {
    writer.close()
  }
  return stepProblem(file, 24)
}

/** The reader sees every step exactly once, in order. */
function stepProblem(file, total) {
  const steps = currentSteps(readEvents(file).events).map(({ step }) => step)
  const expected = Array.from({ length: total }, (_, i) => i + 1)
  return steps.join() !== expected.join() && `the reader sees the steps ${steps.join()}`
}
