import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { loadConfig } from '@adapt-ts/adapt'
import { describeEnd, inParallel } from '../support/child.mjs'
import { Tally } from '../support/figures.mjs'
import { stopAt } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const STOP = 15
const SET = ['training.save_total_limit=2']

/** Keys that may change; every other key of the config must be refused. */
const ALLOWED =
  /^(output_dir|evaluation\..*|data\.(num_workers|cache_dir)|training\.(logging_steps|logging_dir|report_to|save_steps|save_total_limit|threads))$/

/** Another valid value where doubling, halving or negating gives none; `[key, value]` sets more than the key itself. */
const OTHER = {
  'model.preset': 'llama-3m',
  tokenizer: 'tokenizer-2',
  'data.train': '[corpus-2.jsonl]',
  anchors: '[anchors-2.jsonl]',
  'method.preset': ['method', 'uniform'],
  'method.signal.pooling': 'mean',
  'method.signal.tokens': 'response_only',
  'method.normalizer': 'sample.mean',
  'training.lr_scheduler_type': 'linear',
  'evaluation.sets': '[anchors.jsonl]',
  'data.cache_dir': 'cache-2',
  'training.report_to': '[tensorboard]',
}
/** Keys without a second value of their own: they change with their preset. */
const FIXED = /^(model\.init|method\.(signal|gate)\.kind|method\.apply|output_dir)$/
const SAMPLE = [
  ...['training.seed', 'training.max_steps', 'training.learning_rate', 'data.max_length', 'method.gate.ess'],
  ...['training.logging_steps', 'training.save_steps', 'anchors', 'method.preset'],
]

export const changedConfig = {
  id: '8',
  title: 'Resume with another config or other data is refused with a readable diff',
  tested:
    'Each key of the resolved config changed in turn: only logging, evaluation, saving, workers and threads pass; other ' +
    'data, anchors and tokenizer of equal size, name and time',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    await stopAt(workshop, 'stopped', STOP, SET)
    for (const name of ['corpus', 'anchors']) {
      writeFileSync(workshop.file(`${name}-2.jsonl`), readFileSync(workshop.file(`${name}.jsonl`)))
    }
    cpSync(workshop.file('tokenizer'), workshop.file('tokenizer-2'), { recursive: true })
    const { config } = await loadConfig(workshop.file('run.yaml'), { set: SET })
    const all = leaves(config).filter(([key]) => !FIXED.test(key))
    const keys = mode === 'full' ? all : all.filter(([key]) => SAMPLE.includes(key))
    let allowed = 0
    await inParallel(keys, async ([key, value], i) => {
      const change = OTHER[key] ?? other(value)
      if (change === undefined) return tally.add(key, 'the check knows no other value for this key')
      const [name, text] = Array.isArray(change) ? change : [key, change]
      if (ALLOWED.test(key)) allowed++
      return tally.add(`${key}=${text}`, await changed(workshop, `key-${i}`, `${name}=${text}`, key))
    })
    await changedData(workshop, tally)
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${keys.length} of ${all.length} keys (${allowed} may change), 3 changed files: ${tally.share} as promised`,
    }
  },
}

/** What is wrong with how a change of one key is treated. */
async function changed(workshop, name, assignment, key) {
  const folder = workshop.runFolder(name)
  cpSync(workshop.runFolder('stopped'), folder, { recursive: true })
  const before = contents(folder)
  const ended = await workshop.train(name, [...SET, assignment])
  if (ALLOWED.test(key)) return ended.code !== 0 && describeEnd(ended)
  if (ended.code !== 2) return `expected exit 2, got ${describeEnd(ended)}`
  const shown = key === 'method.preset' ? 'method.' : key
  if (!new RegExp(`${shown.replaceAll('.', '\\.')}.*->`).test(ended.stderr)) {
    return `the diff does not show the key: ${ended.stderr.slice(0, 300)}`
  }
  return contents(folder) !== before && 'the run folder was changed'
}

/** Changes that keep a file valid and its size: one letter of a text, or two tokens that swap their ids. */
const EDITS = {
  'corpus.jsonl': (text) => text.replace('model', 'nodel'),
  'anchors.jsonl': (text) => text.replace('model', 'nodel'),
  'tokenizer/tokenizer.json': (text) =>
    text.replace(':20,', ':XX,').replace(':21,', ':20,').replace(':XX,', ':21,'),
}

async function changedData(workshop, tally) {
  for (const [i, [file, edit]] of Object.entries(EDITS).entries()) {
    const target = workshop.file(file)
    const original = readFileSync(target, 'utf8')
    const { atime, mtime } = statSync(target)
    writeFileSync(target, edit(original))
    utimesSync(target, atime, mtime)
    const folder = `data-${i}`
    cpSync(workshop.runFolder('stopped'), workshop.runFolder(folder), { recursive: true })
    const before = contents(workshop.runFolder(folder))
    const ended = await workshop.train(folder, SET)
    const unchanged = contents(workshop.runFolder(folder)) === before
    const isRefused = [2, 3].includes(ended.code) && unchanged && edit(original) !== original
    tally.add(`another ${file} of equal size`, !isRefused && `expected a refusal, got ${describeEnd(ended)}`)
    writeFileSync(target, original)
    utimesSync(target, atime, mtime)
  }
}

/** Paths and bytes of everything in a folder as one hash. */
function contents(folder) {
  const hash = createHash('sha256')
  for (const name of readdirSync(folder, { recursive: true }).sort()) {
    const file = path.join(folder, name)
    hash.update(`${name}\n`)
    if (statSync(file).isFile()) hash.update(readFileSync(file))
  }
  return hash.digest('hex')
}

function leaves(value, key = '') {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return [[key, value]]
  return Object.entries(value).flatMap(([name, item]) => leaves(item, key === '' ? name : `${key}.${name}`))
}

/** Another value of the same kind. */
function other(value) {
  if (typeof value === 'boolean') return String(!value)
  if (typeof value !== 'number') return undefined
  if (value === 0) return '1'
  return String(Number.isInteger(value) ? value * 2 : value / 2)
}
