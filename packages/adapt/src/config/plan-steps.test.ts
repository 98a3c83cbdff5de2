import { describe, expect, it } from 'vitest'
import { parseConfig } from './parse-config.js'
import { planSteps } from './plan-steps.js'

/** Optimiser steps of transformers' Trainer (5.x, one process): rows, batch, accumulation, drop_last, length, steps, rows of all. */
const TRAINER: readonly (readonly [number, number, number, boolean, object, number, number])[] = [
  [9, 2, 2, false, { numTrainEpochs: 1 }, 3, 9],
  [9, 2, 2, false, { numTrainEpochs: 2.5 }, 8, 26],
  [9, 2, 2, false, { maxSteps: 9 }, 9, 27],
  [9, 2, 2, false, { maxSteps: 5 }, 5, 17],
  [9, 2, 2, true, { numTrainEpochs: 2 }, 4, 16],
  [7, 2, 2, false, { numTrainEpochs: 2 }, 4, 14],
  [7, 2, 2, true, { numTrainEpochs: 1 }, 2, 6],
  [7, 2, 2, true, { numTrainEpochs: 2.5 }, 5, 16],
  [7, 2, 2, true, { maxSteps: 9 }, 9, 28],
  [5, 2, 4, true, { numTrainEpochs: 2.5 }, 3, 12],
  [5, 2, 4, false, { maxSteps: 5 }, 5, 25],
  [3, 4, 1, false, { maxSteps: 5 }, 5, 15],
  [10, 3, 2, true, { maxSteps: 9 }, 9, 42],
  [11, 1, 4, false, { numTrainEpochs: 2.5 }, 8, 30],
  [10, 1, 1, false, { numTrainEpochs: 2.7 }, 27, 27],
  [9, 1, 2, false, { numTrainEpochs: 2.2 }, 11, 20],
  [50, 1, 1, true, { numTrainEpochs: 1.3 }, 65, 65],
]

const configOf = (batch: number, accumulation: number, dataloaderDropLast: boolean, length: object) =>
  parseConfig({
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: 'tokenizer',
    data: { train: ['a.jsonl'] },
    method: 'uniform',
    outputDir: 'runs/a',
    training: {
      perDeviceTrainBatchSize: batch,
      gradientAccumulationSteps: accumulation,
      dataloaderDropLast,
      ...length,
    },
  })

describe('planSteps', () => {
  it.each(
    TRAINER,
  )('plans the steps that others train: %i rows, batch %i x %i, drop_last %s, %o', (rows, batch, accumulation, drop, length, steps, numRows) => {
    const plan = planSteps(configOf(batch, accumulation, drop, length), () => rows)
    expect(plan.totalSteps).toBe(steps)
    expect(plan.passes * rows).toBeCloseTo(numRows, 9)
  })

  it('adds up epochs of different numbers of rows', () => {
    const rowsOf = (epoch: number) => [9, 7, 12, 4][epoch]!
    const steps = (numTrainEpochs: number, drop = false) =>
      planSteps(configOf(2, 2, drop, { numTrainEpochs }), rowsOf).totalSteps
    expect([1, 2, 3, 0.5, 2.5, 3.5].map((epochs) => steps(epochs))).toEqual([3, 5, 8, 2, 7, 9])
    expect([1, 2, 3].map((epochs) => steps(epochs, true))).toEqual([2, 4, 7])
  })

  it('draws more rows for a step than it trains where a method picks among candidates', () => {
    const plan = (drop: boolean, length: object, candidates: number) =>
      planSteps(configOf(2, 2, drop, length), () => 21, candidates)
    expect(plan(false, { numTrainEpochs: 2 }, 2)).toMatchObject({
      totalSteps: 6,
      globalRows: 4,
      drawnRows: 8,
      passes: 2,
    })
    // Whole batches of 2 are left of every 4 rows.
    expect(plan(true, { maxSteps: 3 }, 2)).toMatchObject({ batchRows: 4, rowsPerEpoch: 20, passes: 20 / 21 })
    expect(plan(false, { maxSteps: 2 }, 2.6)).toMatchObject({ drawnRows: 10, passes: 20 / 21 })
  })

  it('refuses data without one whole batch where the rest is dropped, however long the run', () => {
    for (const length of [{ numTrainEpochs: 1 }, { maxSteps: 5 }])
      expect(() => planSteps(configOf(4, 1, true, length), () => 3)).toThrow(
        expect.objectContaining({ code: 'TOO_LITTLE_DATA', exitCode: 3 }),
      )
  })

  it('takes as many rows in a step as all ranks together have', () => {
    const config = configOf(2, 2, false, { numTrainEpochs: 1 })
    expect(planSteps(config, () => 17, 1, 3)).toEqual(
      planSteps(configOf(2, 6, false, { numTrainEpochs: 1 }), () => 17),
    )
    expect(planSteps(configOf(2, 2, true, { numTrainEpochs: 1 }), () => 17, 1, 3).rowsPerEpoch).toBe(12)
  })
})
