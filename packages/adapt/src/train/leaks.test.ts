import { type DType, memoryStats } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { MethodInput } from '../catalog/index.js'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { createCase, methodOf, rowsOfStep } from './training-case.test.fixture.js'

const batches = [0, 1, 2, 3].map((step) => batchOf(rowsOfStep(step)))
const packed = batchOf([rowsOfStep(4).flat().slice(0, 3), rowsOfStep(5).flat().slice(0, 3)], {
  packing: true,
  maxLength: 32,
})

describe('training', () => {
  it.each<[string, number, MethodInput, { gradientCheckpointing?: boolean; autocastDtype?: DType }]>([
    [
      'calibrated ADAPT with refreshes',
      500,
      {
        preset: 'adapt-calibrated',
        signal: { refresh_every: 7 },
        gate: { update_every: 5, warmup_ratio: 0.01 },
      },
      {},
    ],
    [
      'a softmax gate with recomputed activations',
      60,
      { preset: 'adapt', gate: { kind: 'softmax' } },
      { gradientCheckpointing: true },
    ],
    [
      'bfloat16 with a scoring forward',
      60,
      { preset: 'adapt', signal: { score_eval: true } },
      { autocastDtype: 'bfloat16' },
    ],
  ])('keeps no tensor and no memory from step to step: %s', (_, numSteps, input, options) => {
    using training = createCase(methodOf(input, numSteps + 28), { totalSteps: numSteps + 28, ...options })
    const run = (n: number) => {
      for (let step = 0; step < n; step++) training.step([batches[step % 4]!, packed])
      const { liveTensors, reservedBytes, allocatedBytes } = memoryStats()
      return { liveTensors, reservedBytes, allocatedBytes }
    }
    const warm = run(28)
    expect(run(numSteps)).toEqual(warm)
  })

  it('gives everything back when it is over', () => {
    const live = () => {
      const { liveTensors, allocatedBytes } = memoryStats()
      return { liveTensors, allocatedBytes }
    }
    const before = live()
    for (let n = 0; n < 3; n++) {
      using training = createCase(methodOf({ preset: 'adapt-calibrated' }), { model: createTinyLlama() })
      training.step([batches[n]!])
    }
    expect(live()).toEqual(before)
  })
})
