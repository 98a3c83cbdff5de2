import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describeEnd, sleep } from '../support/child.mjs'
import { difference, digestRun, leftovers } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { controlRun, stopAt } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const LONG = ['training.max_steps=1000000', 'training.save_steps=1000000', 'evaluation={}']
const SET = ['training.save_steps=7']

export const oneWriter = {
  id: '7',
  title: 'One writer per run folder; leftovers do no harm',
  tested:
    'A second process beside a running one; locks left by a killed process, with a reused process id, of another boot; ' +
    'temporary files removed by the next owner only',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const slowest = await secondProcess(workshop, tally, mode === 'full' ? 5 : 1)
    await staleLocks(workshop, tally)
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `second process refused in ${seconds(slowest)} with its start; ${tally.share} cases`,
    }
  },
}

async function secondProcess(workshop, tally, count) {
  const first = workshop.start('held', LONG)
  const folder = workshop.runFolder('held')
  const events = path.join(folder, 'events.jsonl')
  for (
    let i = 0;
    i < 600 && !(existsSync(events) && readFileSync(events, 'utf8').includes('"step":2'));
    i++
  ) {
    await sleep(50)
  }
  const temporary = path.join(folder, 'checkpoints/.step-99.tmp-1')
  mkdirSync(temporary, { recursive: true })
  let slowest = 0
  for (let i = 0; i < count; i++) {
    const second = await workshop.train('held', LONG, i % 2 === 1 ? ['--overwrite'] : [])
    slowest = Math.max(slowest, second.ms)
    const isRefused = second.code === 2 && second.stderr.includes(String(first.process.pid))
    tally.add(
      `second process ${i + 1}`,
      !isRefused && `expected exit 2 that names the owner, got ${describeEnd(second)}`,
    )
  }
  tally.add('a second process leaves temporary files alone', !existsSync(temporary) && 'they are gone')
  first.kill('SIGTERM')
  const ended = await first.ended
  tally.add('the first goes on undisturbed', ended.code !== 75 && describeEnd(ended))
  return slowest
}

async function staleLocks(workshop, tally) {
  const { digest } = await controlRun(workshop, SET)
  await stopAt(workshop, 'killed', 20, SET, 'SIGKILL')
  const lockOf = (name) => path.join(workshop.runFolder(name), 'run.lock')
  if (!tally.add('a killed process leaves its lock', !existsSync(lockOf('killed')) && 'there is none')) return
  const left = JSON.parse(readFileSync(lockOf('killed'), 'utf8'))
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const alive = {
    ...left,
    pid: process.pid,
    start_time: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19],
  }
  const cases = [
    ['the lock of a dead process', left, 0],
    ['a lock whose process id was given to another process', { ...alive, start_time: left.start_time }, 0],
    ['a lock of another boot', { ...alive, boot_id: '00000000-0000-0000-0000-000000000000' }, 0],
    ['a lock of a living process', alive, 2],
  ]
  for (const [i, [title, lock, code]] of cases.entries()) {
    const name = `lock-${i}`
    const folder = workshop.runFolder(name)
    cpSync(workshop.runFolder('killed'), folder, { recursive: true })
    writeFileSync(lockOf(name), JSON.stringify(lock))
    mkdirSync(path.join(folder, 'checkpoints/.step-99.tmp-1'))
    writeFileSync(path.join(folder, 'run.json.1.tmp'), '{')
    const ended = await workshop.train(name, SET)
    if (!tally.add(title, ended.code !== code && `expected exit ${code}, got ${describeEnd(ended)}`)) continue
    if (code === 2) {
      tally.add(`${title}: nothing is tidied`, leftovers(folder).length < 2 && `left ${leftovers(folder)}`)
      continue
    }
    const parts = difference(digest, await digestRun(folder))
    tally.add(`${title}: result`, parts && `differs in ${parts}`)
    const rest = leftovers(folder)
    tally.add(`${title}: leftovers are removed`, rest.length > 0 && rest.join(', '))
  }
}
