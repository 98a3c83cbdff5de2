import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readSamples } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const settings = (method: string) => [
  `method=${method}`,
  'training={ max_steps: 12, per_device_train_batch_size: 8, learning_rate: 0.01, seed: 1, bf16: false }',
  'evaluation={}',
]

/** Samples that were trained on, and what of the FLOPs of training preparation took. */
async function trained(name: string, method: string) {
  const { outcome } = await workshop.train(name, settings(method))
  const samples = await readSamples(path.join(workshop.runFolder(name), 'samples.parquet'))
  return { count: samples.size, loss: outcome.steps.at(-1)!.lossWeighted }
}

describe('a preparation that looks at a part of the pool', () => {
  it.each([
    ['dft', '{ preset: dft, signal: { reference: base, scored: 0.5 } }', 45],
    // A tenth of the pool of 90, out of the half that was scored.
    ['ppl', '{ preset: ppl, signal: { scored: 0.5 }, gate: { keep: 0.1 } }', 9],
    ['rds-plus', '{ preset: rds-plus, signal: { scored: 0.5 }, gate: { keep: 0.1 } }', 9],
    ['few', '{ preset: rds-plus, signal: { scored: 0.1 }, gate: { keep: 0.3 } }', 9],
    // What was not scored has a weight, too.
    ['ica', '{ preset: ica, signal: { k: 1, scored: 0.5 } }', 90],
  ])('trains %s', async (name, method, count) => {
    const found = await trained(name, method)
    expect(found.count).toBe(count)
    expect(Number.isFinite(found.loss)).toBe(true)
  })
})
