import {
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describeEnd, inParallel } from '../support/child.mjs'
import { checkpointFolder, difference, digestRun, newestCheckpoint, resumedFrom } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { createRandom, spread } from '../support/random.mjs'
import { controlRun, stopAt } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const SEED = 6
const SET = ['training.max_steps=12', 'training.save_steps=4', 'training.save_total_limit=9']
/** The newest checkpoint, which is damaged, and the one before it. */
const NEWEST = 8
const PREVIOUS = 4

export const damage = {
  id: '6',
  title:
    'A damaged checkpoint is refused by name, and auto-resume falls back to the previous valid one with a warning',
  tested:
    'One bit flipped at 200 random offsets over all files and at places all over the tensor headers and the manifest, files ' +
    'cut, swapped, removed, added; each refused by the library, some more through the command, which ends at the ' +
    'digest of the control',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const { digest: control } = await controlRun(workshop, SET)
    await stopAt(workshop, 'stopped', NEWEST, SET)
    const cases = damages(checkpointFolder(workshop.runFolder('stopped'), NEWEST), mode)
    for (const [i, one] of cases.entries()) {
      const folder = workshop.file(`library-${i % 2}`)
      rmSync(folder, { recursive: true, force: true })
      cpSync(path.join(workshop.runFolder('stopped'), 'checkpoints'), folder, { recursive: true })
      one.apply(path.join(folder, `step-${NEWEST}`))
      tally.add(one.name, refusal(folder, one))
    }
    const through = spread(cases, mode === 'full' ? 24 : 5)
    await inParallel(through, (one, i) => throughCommand(workshop, `command-${i}`, one, control, tally))
    return result(tally, through.length)
  },
}

function result(tally, numCommand) {
  return {
    count: tally.count,
    failures: tally.failures,
    figure: `${tally.share} refused (${numCommand} through the command)`,
  }
}

/** What is wrong with how the library treats the damage. */
function refusal(folder, { file }) {
  const { step, damaged: refused } = newestCheckpoint(folder)
  if (step !== PREVIOUS) return `the newest valid checkpoint is ${step}`
  if (refused.length !== 1 || !refused[0].includes(`step-${NEWEST}`)) return `refused: ${refused.join(' | ')}`
  return !refused[0].includes(file) && `the message does not name ${file}: ${refused[0]}`
}

async function throughCommand(workshop, name, one, control, tally) {
  const folder = workshop.runFolder(name)
  cpSync(workshop.runFolder('stopped'), folder, { recursive: true })
  one.apply(checkpointFolder(folder, NEWEST))
  const ended = await workshop.train(name, SET)
  const said = `${ended.stdout}${ended.stderr}`
  const title = `${one.name}, through the command`
  if (ended.code !== 0) return tally.add(title, describeEnd(ended))
  if (resumedFrom(folder) !== PREVIOUS) return tally.add(title, `went on from step ${resumedFrom(folder)}`)
  if (!/warning/i.test(said) || !said.includes(`step-${NEWEST}`))
    return tally.add(title, 'no warning by name')
  const parts = difference(control, await digestRun(folder))
  return tally.add(title, parts && `differs in ${parts}`)
}

/** @returns {{ name: string, file: string, apply: (folder: string) => void }[]} */
function damages(folder, mode) {
  const random = createRandom(SEED)
  const files = readdirSync(folder).sort()
  const sizes = files.map((file) => statSync(path.join(folder, file)).size)
  const total = sizes.reduce((a, b) => a + b, 0)
  const numFlips = mode === 'full' ? 200 : 20
  const flips = Array.from({ length: numFlips }, () => {
    let offset = Math.floor(random() * total)
    let i = 0
    while (offset >= sizes[i]) offset -= sizes[i++]
    return flip(files[i], offset, Math.floor(random() * 8))
  })
  const structured = files.flatMap((file) => {
    const header = headerBytes(path.join(folder, file))
    // A prime apart: every field is met, and every bit.
    return Array.from({ length: Math.ceil(header / 7) }, (_, i) => flip(file, 7 * i, i % 8))
  })
  const tensors = files.filter((file) => file.endsWith('.safetensors'))
  const whole = files.flatMap((file, i) => [
    // Two: the last byte of a JSON file is a newline, which says nothing.
    {
      name: `${file} cut by two bytes`,
      file,
      apply: (to) => truncateSync(path.join(to, file), sizes[i] - 2),
    },
    { name: `${file} empty`, file, apply: (to) => truncateSync(path.join(to, file), 0) },
    { name: `${file} removed`, file, apply: (to) => rmSync(path.join(to, file)) },
    {
      name: `${file} longer by one zero byte`,
      file,
      apply: (to) => truncateSync(path.join(to, file), sizes[i] + 1),
    },
  ])
  const swapped = tensors.slice(1).map((file) => ({
    name: `${tensors[0]} and ${file} swapped`,
    file: tensors[0],
    apply: (to) => swap(path.join(to, tensors[0]), path.join(to, file)),
  }))
  const foreign = [
    {
      name: 'a file of another checkpoint',
      file: 'optimizer.safetensors',
      apply: (to) =>
        cpSync(
          path.join(path.dirname(to), `step-${PREVIOUS}`, 'optimizer.safetensors'),
          path.join(to, 'optimizer.safetensors'),
        ),
    },
    {
      name: 'all files of another checkpoint',
      file: `step-${NEWEST}`,
      apply: (to) => cpSync(path.join(path.dirname(to), `step-${PREVIOUS}`), to, { recursive: true }),
    },
    {
      name: 'a file too many',
      file: 'extra.bin',
      apply: (to) => writeFileSync(path.join(to, 'extra.bin'), 'x'),
    },
  ]
  return mode === 'full'
    ? [...flips, ...structured, ...whole, ...swapped, ...foreign]
    : [...flips, ...spread(structured, 20), ...spread(whole, 8), ...swapped.slice(0, 1), ...foreign]
}

/** Bytes of the part of a file that says what the rest means: all of a JSON file, length and header of tensors. */
function headerBytes(file) {
  const bytes = readFileSync(file)
  return file.endsWith('.safetensors') ? 8 + Number(bytes.readBigUInt64LE(0)) : Math.min(bytes.length, 4096)
}

function flip(file, offset, bit) {
  return {
    name: `${file} bit ${bit} at ${offset}`,
    file,
    apply: (to) => {
      const target = path.join(to, file)
      const bytes = readFileSync(target)
      bytes[offset] ^= 1 << bit
      writeFileSync(target, bytes)
    },
  }
}

function swap(a, b) {
  renameSync(a, `${a}.x`)
  renameSync(b, a)
  renameSync(`${a}.x`, b)
}
