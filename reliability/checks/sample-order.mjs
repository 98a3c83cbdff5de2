import { describeEnd, inParallel } from '../support/child.mjs'
import { ledgerRows } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { stopAt } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

const SEED = 5
const EPOCHS = 3

/** [name, training settings, packing, rows per step, stop after] */
const LAYOUTS = [
  ['one sample per row, 3 per step', 'per_device_train_batch_size: 3', false, 3, undefined],
  [
    'one sample per row, 4 per step, last short batch dropped',
    'per_device_train_batch_size: 4, dataloader_drop_last: true',
    false,
    4,
    undefined,
  ],
  [
    'one sample per row, 2 x 2 per step, stopped',
    'per_device_train_batch_size: 2, gradient_accumulation_steps: 2',
    false,
    4,
    17,
  ],
  ['packed, 3 per step', 'per_device_train_batch_size: 3', true, undefined, undefined],
  ['packed, 5 per step, stopped', 'per_device_train_batch_size: 5', true, undefined, 4],
]

export const sampleOrder = {
  id: '18',
  title: 'Every sample is seen exactly once per epoch in the stated order',
  tested:
    'The ledger of 3 epochs against a shuffle written again in 30 lines: several batch sizes, packed and not, last short batch ' +
    'kept and dropped, with and without a stop',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    let rows = 0
    await inParallel(LAYOUTS, async ([title, shape, packing, perStep, stop], i) => {
      const name = `order-${i}`
      const set = [
        `training={ num_train_epochs: ${EPOCHS}, ${shape}, seed: ${SEED}, bf16: false, threads: 1, save_steps: 1000 }`,
        `data.packing=${packing}`,
        'evaluation={}',
      ]
      if (stop !== undefined) await stopAt(workshop, name, stop, set)
      const ended = await workshop.train(name, set)
      if (ended.code !== 0) return tally.add(title, describeEnd(ended))
      const seen = await ledgerRows(workshop.runFolder(name))
      rows += seen.length
      return tally.add(title, orderProblem(seen, packing, perStep, /drop_last/.test(shape)))
    })
    return { ...tally, figure: `${tally.share} orders right, ${rows} ledger rows` }
  },
}

/** What is wrong with the order of the rows of a run. */
function orderProblem(rows, packing, perStep, dropsLast) {
  const total = 1 + rows.reduce((most, { sample }) => Math.max(most, sample), 0)
  const kept = dropsLast ? Math.floor(total / perStep) * perStep : total
  if (rows.length !== EPOCHS * kept) return `${rows.length} rows, expected ${EPOCHS} x ${kept}`
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const seen = rows.slice(epoch * kept, (epoch + 1) * kept).map(({ sample }) => sample)
    if (new Set(seen).size !== kept) return `epoch ${epoch}: ${kept - new Set(seen).size} samples came again`
    if (packing) continue
    const expected = shuffled(SEED, epoch, total).slice(0, kept)
    const at = seen.findIndex((sample, i) => sample !== expected[i])
    if (at >= 0) return `epoch ${epoch}, place ${at}: sample ${seen[at]}, expected ${expected[at]}`
  }
  return undefined
}

/**
 * The stated order, written again from its description: a swap-or-not shuffle (Hoang, Morris, Rogaway 2012) with keys from
 * a stream over (seed, epoch, 0), whose mixing function is the finaliser of MurmurHash3.
 */
function shuffled(seed, epoch, size) {
  const mix = (value) => {
    let h = value | 0
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return h ^ (h >>> 16)
  }
  let state = 0x243f6a88
  for (const part of [seed, epoch, 0]) state = mix(mix(state ^ mix(part + 0x9e3779b9)) ^ 0x85a308d3)
  let counter = 0
  const next = () => mix(state ^ mix(Math.imul(++counter, 0x9e3779b9) + 0x13198a2e)) >>> 0
  const rounds = Array.from({ length: Math.max(48, 3 * Math.ceil(Math.log2(size))) }, () => {
    const keys = [next(), next()]
    return { keys, offset: ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) % size }
  })
  return Array.from({ length: size }, (_, place) =>
    rounds.reduce((x, { keys, offset }) => {
      const partner = (offset - x + size) % size
      const chosen = mix(mix(Math.max(x, partner) ^ keys[0]) ^ keys[1]) & 1
      return chosen === 1 ? partner : x
    }, place),
  )
}
