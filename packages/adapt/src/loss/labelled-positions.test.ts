import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../model/tiny-llama.test.fixture.js'
import { labelledPositions } from './labelled-positions.js'

const batch = batchOf([[{ tokens: [5, 6, 7], labelsFrom: 2 }, { tokens: [8, 9] }], [{ tokens: [4] }]], {
  packing: true,
  maxLength: 6,
})

describe('labelledPositions', () => {
  it('lists labels and their samples row by row', () => {
    scope(() => {
      const { count, sampleOf, labels_N, sample_N } = labelledPositions(batch, 'cpu')
      expect(count).toBe(2)
      expect([...labels_N.toInt32Array()]).toEqual([7, 9])
      expect([...sampleOf]).toEqual([0, 1])
      expect([...sample_N.toInt32Array()]).toEqual([0, 1])
    })
  })

  it('selects the hidden states that predict them and scatters gradients back', () => {
    scope(() => {
      const hidden = tensor(
        Float32Array.from({ length: 24 }, (_, i) => i),
        [2, 6, 2],
      )
      const labelled = labelledPositions(batch, 'cpu')
      const selected = labelled.select(hidden)
      expect([...selected.toFloat32Array()]).toEqual([2, 3, 6, 7])
      const expected = new Float32Array(24)
      expected.set([2, 3], 2)
      expected.set([6, 7], 6)
      const scattered = labelled.scatter(selected)
      expect(scattered.shape).toEqual([2, 6, 2])
      expect(scattered.toFloat32Array()).toEqual(expected)
    })
  })

  it('is the identity when every position has a label', () => {
    scope(() => {
      const full = { ...batch, labels_BT: new Int32Array(12).fill(3), segment_BT: new Int32Array(12) }
      const hidden = tensor(
        Float32Array.from({ length: 24 }, (_, i) => i),
        [2, 6, 2],
      )
      const labelled = labelledPositions(full, 'cpu')
      expect(labelled.scatter(labelled.select(hidden)).toFloat32Array()).toEqual(hidden.toFloat32Array())
    })
  })

  it('is empty without labels', () => {
    scope(() => {
      expect(labelledPositions(batchOf([[{ tokens: [4] }]]), 'cpu').count).toBe(0)
    })
  })
})
