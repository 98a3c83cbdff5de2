import { memoryStats } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

const numSteps = 4
const batches = Array.from({ length: numSteps + 1 }, (_, step) => [
  batchOf(rowsOfStep(2 * step)),
  batchOf(
    [
      rowsOfStep(2 * step + 1)
        .flat()
        .slice(0, 3),
    ],
    { packing: true, maxLength: 32 },
  ),
])

/** Losses, gradient norms and the next micro-batches that were asked for. */
function train(method: 'adapt-calibrated' | 'linupper', looksAhead: boolean) {
  using training = createCase(methodOf({ preset: method }))
  const asked: number[] = []
  const numbers = Array.from({ length: numSteps }, (_, step) => {
    const next = () => {
      asked.push(step + 1)
      return batches[step + 1]!
    }
    const { record } = training.trainer.runStep(batches[step]!, 0, looksAhead ? next : undefined)
    return [record.lossWeighted, record.lossUnweighted, record.gradNorm]
  })
  return { numbers, asked, device: training.model.device }
}

describe('micro-batches of the next step', () => {
  it.each([
    'adapt-calibrated',
    'linupper',
  ] as const)('change nothing when they are there early: %s', (method) => {
    const { numbers, asked, device } = train(method, true)
    expect(numbers).toEqual(train(method, false).numbers)
    expect(asked).toEqual(device === 'cpu' ? [] : [1, 2, 3, 4])
  })

  it('are freed with their trainer, used or not', () => {
    const before = memoryStats().liveTensors
    train('adapt-calibrated', true)
    expect(memoryStats().liveTensors).toBe(before)
  })
})
