import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { readEvents } from '@adapt-ts/adapt'
import { Child, describeEnd, inParallel, projectDir, sleep } from '../support/child.mjs'
import { difference, digestRun, leftovers, newestCheckpoint } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { createRandom, quantile } from '../support/random.mjs'
import { controlRun } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const SEED = 31
const SET = [
  'training.max_steps=240',
  'training.save_steps=100000',
  'training.logging_steps=1',
  'evaluation={}',
]
/** Steps of a second or more, nearly all of it in native calls. */
const SLOW = [
  'model={ init: scratch, preset: llama-3m, config: { max_position_embeddings: 1024 } }',
  'training.per_device_train_batch_size=512',
  'training.max_steps=1000',
  'training.save_steps=1',
  'evaluation={}',
]
/** Far above the promise, so that a slow machine does not fail; the figure is in the table. */
const GRACE_MS = 25_000
const AT_ONCE_MS = 10_000

export const termination = {
  id: '31',
  title: 'SIGTERM gives a checkpoint within the grace time',
  tested:
    'SIGTERM, SIGUSR1 and SIGHUP at random moments between the start of the process and its end: exit 75 (or a plain end before ' +
    'our first line), a valid checkpoint, resumed to the digest of the control; started through the linked command, a batch script, ' +
    'npx and `npm run`, whose own process gets the signal, SIGKILL too: a checkpoint, a report, nobody left',
  async run({ mode, log, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const control = await controlRun(workshop, SET)
    const count = mode === 'full' ? 50 : 6
    log(`${count} signals, seed ${SEED}`)
    const random = createRandom(SEED)
    const moments = Array.from({ length: count }, () => random())
    const delays = []
    const early = []
    await inParallel(moments, (share, i) =>
      terminate(workshop, `signal-${i}`, i, share, control, tally, delays, early),
    )
    if (delays.length === 0) tally.add('signals', 'none came in time')
    const chosen = mode === 'full' ? STARTS : STARTS.filter(({ inSample }) => inSample)
    await inParallel(chosen, (start, i) => endStarter(workshop, `start-${i}`, start, tally))
    const [p50, p100] = [0.5, 1].map((share) => seconds(quantile(delays, share)))
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${count} signals, ${early.length} of them before our first line; to the exit p50 ${p50}, p100 ${p100}; ${chosen.length} through other starts`,
    }
  },
}

/**
 * How users start a run, and the signal that what they started gets. `code` is what it ends with where it hands on what the
 * run ended with. Not there: SIGINT and SIGUSR1 to npm alone, which npm keeps for itself (docs/jobs.md).
 */
const STARTS = [
  { how: 'bin', signal: 'SIGTERM', code: 75, inSample: true },
  { how: 'bin', signal: 'SIGHUP', code: 75 },
  { how: 'bin', signal: 'SIGINT', code: 75 },
  { how: 'batch', signal: 'SIGUSR1', code: 75, inSample: true },
  { how: 'batch', signal: 'SIGTERM', code: 75 },
  { how: 'npx', signal: 'SIGTERM' },
  { how: 'npx', signal: 'SIGHUP' },
  { how: 'npx', signal: 'SIGKILL', inSample: true },
  { how: 'npm', signal: 'SIGTERM', inSample: true },
  { how: 'npm', signal: 'SIGKILL' },
]

/** The command line of a start, in the folder where `node_modules` lies. */
function commandOf(workshop, how, name) {
  const config = workshop.file('long.yaml')
  const args = ['train', config, '--output-dir', workshop.runFolder(name)]
  const bin = path.join(projectDir, 'node_modules/.bin/adapt')
  if (how === 'npx') return { command: ['npx', '--no-install', 'adapt', ...args], cwd: projectDir }
  if (how === 'npm') {
    const folder = workshop.file(`project-${name}`)
    const train = [bin, ...args].map((text) => `'${text}'`).join(' ')
    workshop.put(`project-${name}/package.json`, JSON.stringify({ private: true, scripts: { train } }))
    return { command: ['npm', 'run', 'train'], cwd: folder }
  }
  if (how === 'bin') return { command: [bin, ...args], cwd: projectDir }
  workshop.put(`${name}.yaml`, LONG(workshop, name))
  const script = path.join(projectDir, 'examples/jobs/slurm.sh')
  return { command: ['bash', script, workshop.file(`${name}.yaml`)], cwd: projectDir }
}

/** The common config, so long that it does not end by itself. */
const LONG = (workshop, name) =>
  readFileSync(workshop.file('run.yaml'), 'utf8')
    .replace('max_steps: 60', 'max_steps: 1000000')
    .replace('runs/unnamed', workshop.runFolder(name))

/** Ends what a user started and waits for the run under it, which is the only one that may take its time. */
async function endStarter(workshop, name, { how, signal, code }, tally) {
  workshop.put('long.yaml', LONG(workshop, 'unnamed'))
  const { command, cwd } = commandOf(workshop, how, name)
  const [program, ...args] = command
  const child = new Child(program, args, { cwd })
  const title = `${signal} to ${how}`
  await untilTraining(workshop, child, name)
  child.kill(signal)
  const ended = await child.ended
  for (let waited = 0; child.hasOrphans && waited < GRACE_MS; waited += 50) await sleep(50)
  if (child.hasOrphans) {
    child.killGroup('SIGKILL')
    return tally.add(title, 'the run goes on for nobody')
  }
  if (code !== undefined && ended.code !== code)
    return tally.add(title, `expected exit ${code}, got ${describeEnd(ended)}`)
  const folder = workshop.runFolder(name)
  const { status } = JSON.parse(readFileSync(path.join(folder, 'run.json'), 'utf8'))
  if (status !== 'interrupted') return tally.add(title, `the run is ${status}`)
  const { step, damaged } = newestCheckpoint(path.join(folder, 'checkpoints'))
  if (step === undefined || damaged.length > 0)
    return tally.add(title, `no checkpoint ${damaged.join(' | ')}`)
  return tally.add(title, !existsSync(path.join(folder, 'report.html')) && 'no report')
}

async function terminate(workshop, name, i, share, control, tally, delays, early) {
  const signal = ['SIGTERM', 'SIGUSR1', 'SIGHUP'][i % 3]
  const child = workshop.start(name, SET)
  // One in five falls into the start of the process, the others into training.
  if (i % 5 === 4) await sleep(share * control.ms * 0.4)
  else await stepReached(child, Math.max(1, Math.floor(share * 230)))
  const title = `${signal} ${i % 5 === 4 ? `${Math.round(share * control.ms * 0.4)} ms after the start` : `at ${Math.round(share * 230)}`}`
  const sent = performance.now()
  if (!child.kill(signal)) return tally.add(title, 'the process was gone')
  const delay = (await child.exitedAt) - sent
  const ended = await child.ended
  if (ended.code === 0 && share > 0.9) return tally.add(title, undefined)
  // Before our first line SIGTERM and SIGHUP end the process, and SIGUSR1 only opens the inspector of Node 20.
  const isEarly =
    i % 5 === 4 &&
    (ended.signal === signal || (ended.code === 0 && ended.stderr.includes('Debugger listening')))
  if (isEarly) early.push(signal)
  if (isEarly && ended.code === 0) return tally.add(title, undefined)
  if (ended.code !== 75 && !isEarly) return tally.add(title, `expected exit 75, got ${describeEnd(ended)}`)
  delays.push(delay)
  if (delay > GRACE_MS) return tally.add(title, `took ${seconds(delay)}`)
  const resumed = await workshop.train(name, SET)
  if (resumed.code !== 0) return tally.add(title, `resumed: ${describeEnd(resumed)}`)
  const parts = difference(control.digest, await digestRun(workshop.runFolder(name)))
  if (parts) return tally.add(title, `differs in ${parts}`)
  const rest = leftovers(workshop.runFolder(name))
  return tally.add(title, rest.length > 0 && `left ${rest.join(', ')}`)
}

/** Resolves once the process has printed this step, or has ended. */
function stepReached(child, step) {
  return Promise.race([
    child.ended,
    new Promise((resolve) => {
      child.onStdout(() => {
        const last = child.stdout.lastIndexOf('\nstep ')
        if (last >= 0 && Number(/^\nstep (\d+)/.exec(child.stdout.slice(last))?.[1] ?? 0) >= step) resolve()
      })
    }),
  ])
}

export const secondInterrupt = {
  id: '32',
  title: 'SIGINT once is SIGTERM, twice is now',
  tested:
    'A second SIGINT at random moments: in start-up, inside long native calls, while a checkpoint is saved; exit 130, no ' +
    'half-published checkpoint, no process left',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const random = createRandom(SEED + 1)
    const count = mode === 'full' ? 30 : 6
    const delays = []
    const places = { start: 0, step: 0, orderly: 0 }
    await inParallel(
      Array.from({ length: count }, () => [random(), random()]),
      ([first, gap], i) => interruptTwice(workshop, `twice-${i}`, i, first, gap, tally, delays, places),
    )
    if (delays.length === 0) tally.add('second interrupts', 'none came before the orderly end')
    const p100 = delays.length > 0 ? seconds(quantile(delays, 1)) : '-'
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${places.start} in start-up, ${places.step} in steps and saves, ${places.orderly} orderly; to the exit p100 ${p100}`,
    }
  },
}

async function interruptTwice(workshop, name, i, first, gap, tally, delays, places) {
  const inStart = i % 3 === 2
  const child = workshop.start(name, SLOW)
  if (inStart) await sleep(150 + first * 500)
  else {
    await untilTraining(workshop, child, name)
    await sleep(first * 1500)
  }
  const title = `second SIGINT ${inStart ? 'in start-up' : `${Math.round(gap * 300)} ms after the first`}`
  child.kill('SIGINT')
  await sleep(5 + gap * (inStart ? 20 : 300))
  const sent = performance.now()
  child.kill('SIGINT')
  const delay = (await child.exitedAt) - sent
  const ended = await child.ended
  // Before the run listens, and after it has saved and said so, SIGINT does what it does: a shell reports 130 as well.
  const isSaid = /^stopped: /m.test(ended.stderr)
  const isNow = ended.code === 130 || ((inStart || isSaid) && ended.signal === 'SIGINT')
  if (isNow) {
    delays.push(delay)
    places[inStart ? 'start' : 'step']++
  } else places.orderly++
  const orderly = ended.code === 75
  if (!isNow && !orderly) return tally.add(title, `expected exit 130, got ${describeEnd(ended)}`)
  if (isNow && delay > AT_ONCE_MS) return tally.add(title, `took ${seconds(delay)}`)
  // The process that tokenises ends when its pipe to us does.
  for (let waited = 0; child.hasOrphans && waited < AT_ONCE_MS; waited += 20) await sleep(20)
  if (child.hasOrphans) {
    child.killGroup('SIGKILL')
    return tally.add(title, 'left a process behind')
  }
  const { damaged } = newestCheckpoint(path.join(workshop.runFolder(name), 'checkpoints'))
  return tally.add(title, damaged.length > 0 && damaged.join(' | '))
}

/** Resolves when the first events are there. */
async function untilTraining(workshop, child, name) {
  for (;;) {
    try {
      if (readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events.length > 0) return
    } catch {
      // Not there yet.
    }
    if (child.process.exitCode !== null) return
    await sleep(20)
  }
}
