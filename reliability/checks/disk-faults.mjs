import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { adaptBin, Child, describeEnd, inParallel } from '../support/child.mjs'
import { checkpointSteps, difference, digestRun, leftovers, newestCheckpoint } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { controlRun } from '../support/runs.mjs'
import { runTraced, straceProblem } from '../support/strace.mjs'
import { Workshop } from '../support/workshop.mjs'
import { enumeratePoints, SHORT, tracedCommand } from './kill-points.mjs'

/** What a disk says, by call; a delete that fails is part of promise 5. */
const FAULTS = [
  [/^(write|pwrite64|writev|pwritev2?)$/, 'ENOSPC'],
  [/^(openat?|creat|mkdir(at)?|link(at)?)$/, 'ENOSPC'],
  [/^(fsync|fdatasync|ftruncate)$/, 'EIO'],
  [/^rename(at2?)?$/, 'EIO'],
]
/** Sizes of a small disk, in KiB, on which the run of two saves does not fit, from start-up to the last files. */
const DISK_SIZES = [16, 48, 96, 160, 240, 320]

export const diskFaults = {
  id: '28',
  title: 'Disk full or I/O error during a checkpoint or log write costs at most that write',
  tested:
    'ENOSPC at each write, file creation, folder and link, EIO at each fsync, truncate and rename on the run folder, by ' +
    'strace; a small tmpfs that fills up: typed exit with one line, every checkpoint whole, resumed to the control. What fails at an ' +
    'evaluation, the report or the heartbeat ends no run; nor does standard output on a full disk or with a reader that left, nor ' +
    'an evaluation file that is gone; few file descriptors are a typed exit, at once',
  async run({ mode, workDir, log }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const control = await controlRun(workshop, SHORT)
    const problem = straceProblem(log)
    let injected = 0
    const exits = new Map()
    if (problem === undefined) {
      const points = (await enumeratePoints(workshop, 'dry')).flatMap((point) => {
        const fault = FAULTS.find(([calls]) => calls.test(point.name))
        return fault === undefined ? [] : [{ ...point, error: fault[1] }]
      })
      const chosen = mode === 'full' ? points : sample(points, workshop.runFolder('dry'))
      log(`${points.length} calls that can fail, ${chosen.length} are made to`)
      await inParallel(chosen, async (point, i) => {
        const code = await failAt(workshop, `fault-${i}`, point, control, tally)
        if (code === undefined) return
        injected++
        exits.set(code, (exits.get(code) ?? 0) + 1)
      })
    }
    const disks = await smallDisks(
      workshop,
      mode === 'full' ? DISK_SIZES : DISK_SIZES.slice(2, 4),
      control,
      tally,
    )
    const besides = await besidesTheModel(workshop, control, tally)
    const codes = [...exits].map(([code, n]) => `${n} x exit ${code}`).join(', ')
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${injected} injected errors (${codes || 'none'}), ${disks.figure}, ${besides} faults besides the model, ${tally.failures.length} failures`,
      ...(problem || disks.problem ? { partly: [problem, disks.problem].filter(Boolean).join('; ') } : {}),
    }
  },
}

/** Each kind of call on each file or folder of the run, in a place of its own each time. */
function sample(points, folder) {
  const kinds = new Map()
  for (const point of points) {
    const [place] = path.relative(folder, point.paths.at(-1)).split(path.sep)
    const kind = `${point.name} ${place.replace(/\.\d.*/, '')}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), point])
  }
  return [...kinds.values()].map((list, i) => list[Math.floor((list.length * ((i * 7) % 10)) / 10)])
}

/** Lets one call fail; returns the exit code when the error arrived where it was meant to. */
async function failAt(workshop, name, point, control, tally) {
  const folder = workshop.runFolder(name)
  const inject = `${point.name}:error=${point.error}:when=${point.nth}`
  const logFile = workshop.file(`${name}.trace`)
  const ended = await runTraced(logFile, tracedCommand(workshop, name), {
    cwd: workshop.root,
    inject,
    fast: true,
  })
  const wakesThreads = /\[eventfd\]/.test(readFileSync(logFile, 'utf8'))
  rmSync(logFile)
  const hits = ended.calls.filter(({ result }) => /INJECTED/.test(result))
  const places = hits.map(({ paths }) => path.relative(folder, paths.at(-1) ?? ''))
  // Each thread counts its calls, so the error can meet a second one: at the terminal, a cache, or the pipe by which threads
  // wake each other, whose failure libuv answers with abort. That is not what is tested.
  if (hits.length === 0 || places.some((place) => place.startsWith('..'))) return undefined
  if (ended.signal === 'SIGABRT' && (hits.length > 1 || wakesThreads)) return undefined
  const [hit, where] = [hits[0], places[0]]
  const title = `${point.error} at ${hit.name} ${where}`
  const end = endProblem(ended) ?? besidesProblem(ended, where, folder) ?? checkpointProblem(folder)
  if (!tally.add(title, end)) return ended.code
  if (ended.code === 0) {
    const parts = difference(control.digest, await digestRun(folder))
    tally.add(`${title}, went on`, parts && `exit 0 but differs in ${parts}`)
    return ended.code
  }
  await resumeToControl(workshop, name, control, tally, title)
  return ended.code
}

/** Exit 5 with one line that says what is wrong, or done. */
function endProblem(ended) {
  if (ended.code === 0) return undefined
  if (ended.code !== 5) return describeEnd(ended)
  const errors = ended.stderr
    .trim()
    .split('\n')
    .filter((line) => !/^warning:/.test(line))
  return errors.length === 1 && errors[0].startsWith('error: ')
    ? undefined
    : `stderr: ${errors.join(' | ').slice(0, 300)}`
}

/** The report and an evaluation on the way are not worth the end of a run; the last evaluation is said at its end. */
function besidesProblem(ended, where, folder) {
  const isBesides = /^(report\.html|eval\/step-)/.test(where)
  if (!isBesides) return undefined
  const isLast = /^eval\/step-6\./.test(where)
  if (ended.code !== (isLast ? 5 : 0)) return `expected the run to go on, got ${describeEnd(ended)}`
  if (!existsSync(path.join(folder, 'model', 'model.safetensors'))) return 'no model'
  return /^warning: .*(report\.html|step-\d+\.json)/m.test(`${ended.stdout}${ended.stderr}`)
    ? undefined
    : 'nothing was said of it'
}

/** Faults of what a run has besides its model; returns how many there were. */
async function besidesTheModel(workshop, control, tally) {
  const command = (name, set = []) => [
    process.execPath,
    adaptBin,
    ...workshop.trainArgs(name, [...SHORT, ...set]),
  ]
  const quote = (words) => words.map((word) => `'${word}'`).join(' ')
  const finished = async (name) => {
    const parts = difference(control.digest, await digestRun(workshop.runFolder(name)))
    return parts && `differs in ${parts}`
  }
  const inShell = (script) => new Child('bash', ['-c', script], { cwd: workshop.root }).ended
  const cases = [
    ['standard output on a full disk', `${quote(command('out-full'))} > /dev/full`, 'out-full'],
    [
      'a reader that left',
      `set -o pipefail; ${quote(command('out-left', ['training.logging_steps=1']))} | head -1`,
      'out-left',
    ],
    ['both outputs on a full disk', `${quote(command('out-both'))} > /dev/full 2>&1`, 'out-both'],
  ]
  await inParallel(cases, async ([title, script, name]) => {
    const ended = await inShell(script)
    tally.add(title, ended.code === 0 ? await finished(name) : describeEnd(ended))
  })
  workshop.put('gone.jsonl', readFileSync(workshop.file('held-out.jsonl')))
  const gone = ['evaluation={ sets: [gone.jsonl], every_steps: 5 }', 'training.logging_steps=1']
  const child = workshop.start('eval-gone', [...SHORT, ...gone])
  // Once the run has read its inputs.
  child.onStdout(() => {
    if (child.stdout.includes('\nstep ')) rmSync(workshop.file('gone.jsonl'), { force: true })
  })
  const ended = await child.ended
  const folder = workshop.runFolder('eval-gone')
  const isTold = ended.code === 2 && /^error: .*gone\.jsonl/.test(ended.stderr)
  tally.add(
    'an evaluation file that is gone',
    !(isTold && existsSync(path.join(folder, 'model'))) && describeEnd(ended),
  )
  const limits = [24, 30, 40, 60]
  await inParallel(limits, async (limit) => {
    const few = await inShell(`ulimit -n ${limit}; ${quote(command(`fds-${limit}`))}`)
    const isTyped = few.code === 0 || (few.code === 5 && /^error: [^\n]*EMFILE[^\n]*\n$/.test(few.stderr))
    tally.add(`${limit} file descriptors`, !isTyped && describeEnd(few))
  })
  return cases.length + 1 + limits.length
}

/** Every folder that looks like a checkpoint is one. */
function checkpointProblem(folder) {
  const { step, damaged } = newestCheckpoint(path.join(folder, 'checkpoints'))
  if (damaged.length > 0) return `half published: ${damaged.join(' | ')}`
  return checkpointSteps(folder).length > 0 && step === undefined ? 'no valid checkpoint' : undefined
}

async function resumeToControl(workshop, name, control, tally, title) {
  const folder = workshop.runFolder(name)
  const resumed = await workshop.train(name, SHORT)
  const finished = resumed.code === 2 && /finished run/.test(resumed.stderr)
  if (resumed.code !== 0 && !finished) return tally.add(`${title}, resumed`, describeEnd(resumed))
  const parts = difference(control.digest, await digestRun(folder))
  if (parts) return tally.add(`${title}, resumed`, `differs in ${parts}`)
  const left = finished ? [] : leftovers(folder)
  return tally.add(`${title}, resumed`, left.length > 0 && `left ${left.join(', ')}`)
}

/** Trains on a tmpfs that is too small, makes it larger and goes on, all in a namespace of its own. */
async function smallDisks(workshop, sizes, control, tally) {
  const probe = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=64k tmpfs /mnt'])
  if (probe.status !== 0)
    return { figure: 'no small disk', problem: 'needs user namespaces for a small disk' }
  let full = 0
  await inParallel(sizes, async (size) => {
    const name = `disk-${size}`
    const disk = workshop.file(`mnt-${size}`)
    const train = (flags) =>
      [process.execPath, adaptBin, ...workshop.trainArgs('x', SHORT, flags)]
        .map((text) => (text === workshop.runFolder('x') ? `${disk}/run` : text))
        .map((text) => `'${text}'`)
        .join(' ')
    const script = [
      `mkdir -p ${disk} && mount -t tmpfs -o size=${size}k tmpfs ${disk}`,
      `${train()}; echo "first=$?"`,
      `ls -A ${disk}/run/checkpoints 2>/dev/null | sed 's/^/has=/'`,
      `mount -o remount,size=64m ${disk}`,
      `${train()}; echo "second=$?"`,
      `mkdir -p ${workshop.file('runs')} && cp -r ${disk}/run ${workshop.runFolder(name)}`,
    ].join('\n')
    const ended = await new Child('unshare', ['-rm', 'sh', '-c', script], { cwd: workshop.root }).ended
    const [first, second] = ['first', 'second'].map(
      (key) => new RegExp(`${key}=(\\d+)`).exec(ended.stdout)?.[1],
    )
    if (first === '5') full++
    const title = `a disk of ${size} KiB`
    if (first !== '5' && first !== '0')
      return tally.add(title, `exit ${first}: ${ended.stderr.slice(0, 300)}`)
    const finished = second === '2' && first === '0'
    if (second !== '0' && !finished)
      return tally.add(title, `resumed with exit ${second}: ${ended.stderr.slice(-300)}`)
    if (!existsSync(workshop.runFolder(name))) return tally.add(title, 'nothing was left to compare')
    const parts = difference(control.digest, await digestRun(workshop.runFolder(name)))
    return tally.add(title, parts && `differs in ${parts}`)
  })
  if (full === 0) tally.add('small disks', 'none was too small: the sizes need to be adapted')
  return { figure: `${full} full disks` }
}
