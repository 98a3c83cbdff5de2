import path from 'node:path'
import { describeEnd, inParallel, sleep } from '../support/child.mjs'
import { difference, digestRun } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { createRandom } from '../support/random.mjs'
import {
  damageOf,
  LONG_WAITS,
  launch,
  names,
  rankAtStep,
  STEPS,
  startJob,
  startRanks,
  stepsOf,
} from '../support/ranks.mjs'
import { modelDistance } from '../support/tensors.mjs'
import { lines, sentence, Workshop } from '../support/workshop.mjs'

const SEED = 40
const MAX_DISTANCE = 1e-6

/** One of each cell of the map of methods, and adapters: [name, assignments]. */
const METHODS = [
  ['uniform', ['anchors=[]', 'method=uniform']],
  ['adapt', ['method=adapt']],
  ['adapt-calibrated', []],
  // On what the first one trained.
  ['LoRA', ['model={ path: runs/uniform-1/model, lora: { r: 4 } }']],
  ['adapt-calibrated-whole', ['training.sharded_optimizer=false']],
  ['opus', ['method=opus']],
  ['bm25', ['method=bm25']],
  ['adapt-bm25', ['method=adapt-bm25']],
  ['rho-1', ['method=rho-1']],
  ['doremi', ['anchors=[]', 'method=doremi']],
  ['loss-selection', ['anchors=[]', 'method=loss-selection']],
  ['greats', ['method=greats']],
  ['odm', ['anchors=[]', 'method=odm']],
  ['static', ['anchors=[]', 'method=static']],
]
/** Twelve rows a step, whoever has them. */
const rowsOf = (numRanks) => [
  `training.per_device_train_batch_size=${12 / numRanks}`,
  'training.max_steps=20',
  'training.save_steps=1000',
  'evaluation={}',
]

export const rankCount = {
  id: '9',
  title: 'Changing the number of processes keeps the sample order',
  tested:
    'Runs of 20 steps on 2 and 4 processes against 1, one method of each cell and LoRA: parameters within 1e-6, the samples of each step the ' +
    'same; the same 4 again: the digest; stopped on 4 and gone on with on 4: the digest; on 2, then 1: parameters within 1e-6',
  async run({ mode, workDir, log }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    let worst = 0
    const close = (title, a, b) => {
      const found = modelDistance(workshop.runFolder(a), workshop.runFolder(b))
      worst = Math.max(worst, found)
      tally.add(title, !(found < MAX_DISTANCE) && `parameters differ by ${found.toExponential(1)}`)
    }
    const methods = mode === 'full' ? METHODS : METHODS.slice(2, 3)
    const counts = mode === 'full' ? [2, 4] : [2]
    for (const [name, set] of methods) {
      log(name)
      const alone = await workshop.train(`${name}-1`, [...set, ...rowsOf(1)])
      if (!tally.add(`${name} on 1`, alone.code !== 0 && describeEnd(alone))) continue
      for (const count of counts) {
        const ended = await launch(workshop, `${name}-${count}`, count, [...set, ...rowsOf(count)])
        const title = `${name} on ${count}`
        if (tally.add(title, ended.code !== 0 && describeEnd(ended)))
          close(title, `${name}-${count}`, `${name}-1`)
      }
    }
    if (mode === 'full') await goOn(workshop, tally, close)
    return { ...tally, figure: `${tally.share}; largest relative distance ${worst.toExponential(1)}` }
  },
}

/** A run on four that is stopped, and goes on with fewer. */
async function goOn(workshop, tally, close) {
  const name = 'adapt-calibrated'
  const set = [...rowsOf(4), 'training.max_steps=200', 'training.save_steps=20']
  const whole = await launch(workshop, 'whole', 4, set)
  tally.add('200 steps on 4', whole.code !== 0 && describeEnd(whole))
  const digest = await digestRun(workshop.runFolder('whole'))
  for (const [title, counts] of [
    ['4 -> 4', [4, 4]],
    ['4 -> 2 -> 1', [4, 2, 1]],
  ]) {
    const run = `${name}-${counts.join('-')}`
    for (const [i, count] of counts.entries()) {
      const job = startJob(workshop, run, count, set)
      if (i < counts.length - 1) {
        await rankAtStep(workshop, job, run, 0, 60 * (i + 1))
        job.kill('SIGTERM')
      }
      const ended = await job.ended
      const expected = i < counts.length - 1 ? 75 : 0
      if (!tally.add(`${title}, part ${i + 1}`, ended.code !== expected && describeEnd(ended))) return
    }
    if (counts.at(-1) === 1) close(title, run, 'whole')
    else tally.add(title, difference(digest, await digestRun(workshop.runFolder(run))))
  }
}

export const differentRanks = {
  id: '36',
  title: 'Ranks with different inputs never start',
  tested:
    'Another seed, another corpus, another tokenizer on one rank of two: exit 2 on both, with what differs, and no step',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const other = new Workshop(path.join(workDir, 'other'))
    const tally = new Tally()
    other.put(
      'longer.jsonl',
      lines(Array.from({ length: 42 }, (_, i) => ({ text: sentence(i + 1), source: 'web' }))),
    )
    const all = [
      ['another seed', ['training.seed=2'], 'seed'],
      ['another corpus', [`data.train=[${other.file('longer.jsonl')}]`], 'train'],
      ['another model', ['model.config.hidden_size=32'], 'hidden_size'],
    ]
    await inParallel(mode === 'full' ? all : all.slice(0, 1), async ([title, set, expected], i) => {
      const ranks = startRanks(workshop, `differs-${i}`, 2, STEPS, 29_700 + i, (rank) =>
        rank === 1 ? { set } : {},
      )
      const ends = await Promise.all(ranks.map(({ ended }) => ended))
      const wrong = ends.find(({ code, stderr }) => code !== 2 || !stderr.includes(expected))
      tally.add(
        title,
        wrong ? describeEnd(wrong) : stepsOf(workshop, `differs-${i}`) > 0 && 'a step was made',
      )
    })
    return { ...tally, figure: `${tally.share} refused` }
  },
}

export const takenPort = {
  id: '38',
  title: 'A taken port is a clear error on every rank, and we do not race for ports',
  tested:
    'A job whose port another program has: every rank says so; two jobs launched at once, several times: each ends as alone',
  async run({ mode, workDir }) {
    if (mode === 'sample') return LONG_WAITS
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const { createServer } = await import('node:net')
    const server = createServer().listen(29_790, '127.0.0.1')
    const flags = ['--master-port', '29790']
    const ended = await launch(workshop, 'taken', 2, STEPS, flags)
    server.close()
    tally.add('taken port', (ended.code === 0 || !/29790/.test(ended.stderr)) && describeEnd(ended))
    for (let i = 0; i < 5; i++) {
      const both = await Promise.all(
        ['a', 'b'].map((one) => launch(workshop, `pair-${i}${one}`, 2, [...STEPS, 'training.max_steps=20'])),
      )
      for (const [j, end] of both.entries())
        tally.add(`job ${j} of pair ${i}`, end.code !== 0 && describeEnd(end))
    }
    return { ...tally, figure: tally.share }
  },
}

export const restartedJob = {
  id: '40',
  title: 'Restart under an elastic launcher ends at the same result',
  tested:
    '`kill -9` of a random rank at random steps under `adapt launch --max-restarts`: the digest of the run that was not killed; more ' +
    'deaths than restarts: exit 6, the rank named',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const random = createRandom(SEED)
    const control = await launch(workshop, 'control', 2, STEPS)
    if (control.code !== 0) throw new Error(`control: ${describeEnd(control)}`)
    const digest = await digestRun(workshop.runFolder('control'))
    const count = mode === 'full' ? 20 : 1
    for (let i = 0; i < count; i++) {
      const name = `killed-${i}`
      const deaths = 1 + Math.floor(random() * 3)
      const job = startJob(workshop, name, 2, STEPS, ['--max-restarts', '3'])
      const places = Array.from({ length: deaths }, () => 1 + Math.floor(random() * 190)).sort(
        (a, b) => a - b,
      )
      for (const step of places) {
        const pid = await rankAtStep(workshop, job, name, Math.floor(random() * 2), step)
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
        await sleep(300)
      }
      const ended = await job.ended
      const title = `${deaths} deaths at ${places.join(', ')}`
      if (!tally.add(title, ended.code !== 0 && describeEnd(ended))) continue
      tally.add(`${title}: result`, difference(digest, await digestRun(workshop.runFolder(name))))
    }
    if (mode === 'full') tally.add('2 deaths, 1 restart', await dieTooOften(workshop))
    return { ...tally, figure: `${tally.share} over ${count} jobs` }
  },
}

async function dieTooOften(workshop) {
  const name = 'killed-for-good'
  const job = startJob(workshop, name, 2, STEPS, ['--max-restarts', '1'])
  for (const step of [60, 120]) process.kill(await rankAtStep(workshop, job, name, 1, step), 'SIGKILL')
  const ended = await job.ended
  if (ended.code !== 6) return `expected exit 6, got ${describeEnd(ended)}`
  return names(ended, 1) ? damageOf(workshop, name) : `the rank is not named: ${describeEnd(ended)}`
}
