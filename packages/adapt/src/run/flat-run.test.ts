import { mul_, noGrad } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { saveModelFolder } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import type { StepRecord } from '../record/index.js'
import { FlatRun } from './flat-run.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const record = (step: number, gradNorm: number, more: Partial<StepRecord> = {}) =>
  ({ step, gradNorm, skipped: false, lossUnweighted: Math.log(512), ...more }) as StepRecord

describe('a run without a gradient', () => {
  it('is told of once in a row of such steps', () => {
    const flat = new FlatRun(512)
    const told = Array.from({ length: 35 }, (_, i) => flat.note(record(i + 1, i === 12 ? 1e-20 : 0)))
    expect(told.flatMap((message, i) => (message === undefined ? [] : [i + 1]))).toEqual([10, 23])
    expect(told[9]).toMatch(/^step 10: the gradient was 0 in 10 steps .* the loss 6\.2383 is ln 512/)
  })

  it('is not one whose steps were skipped, which is told step by step', () => {
    const flat = new FlatRun(512)
    for (let step = 1; step < 30; step++)
      expect(flat.note(record(step, 0, { skipped: true }))).toBeUndefined()
  })

  it('is an alert, a line and a row of the report', async () => {
    const model = createTinyLlama({ vocabSize: workshop.vocabSize, maxPositionEmbeddings: 64 })
    noGrad(() => {
      for (const parameter of model.parameters()) mul_(parameter, 0)
    })
    saveModelFolder(model, workshop.file('dead'))
    model.dispose()
    const set = ['model={ path: dead }', 'evaluation={}', 'training.max_steps=12']
    const { lines } = await workshop.train('dead', set)
    const said = lines.filter((line) => line.includes('the gradient was 0 in 10 steps'))
    expect(said).toHaveLength(1)
    expect(said[0]).toContain(`is ln ${workshop.vocabSize}`)
  })
})
