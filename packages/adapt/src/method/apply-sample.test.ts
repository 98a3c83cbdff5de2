import { scope, tensor } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { composeMethod } from './compose-method.js'
import type { Gate, Signal } from './contract.js'
import { lookAt } from './evidence.js'
import { compositionOf, stepFacts } from './step-facts.test.fixture.js'

const model = createTinyLlama()
afterAll(() => model.dispose())

const batches = [
  batchOf([[{ tokens: [4, 5, 6], index: 3 }], [{ tokens: [7, 8], index: 1 }]]),
  batchOf([[{ tokens: [9, 10, 11], index: 2 }]]),
]
const signal: Signal = {
  score: ({ batch: { samples } }) =>
    tensor(
      samples.map(({ index }) => index / 4),
      [samples.length],
    ),
}
/** It had its say before the step: asking it again would be an error. */
const gate: Gate = {
  weights: () => {
    throw new Error('the gate was asked for weights')
  },
}

describe.each([
  ['shares of sources', { apply: 'sample' }],
  ['a mask from before training', { apply: 'mask', isStored: true }],
] as const)('%s', (_, how) => {
  it('give every sample weight 1 and keep its score', () => {
    const method = composeMethod(compositionOf({ signal, gate, ...how }))
    const tools = stepFacts({
      look: (batch) => lookAt(model, batch, { autocastDtype: undefined, reference: undefined }),
    })
    scope(() => {
      const plan = method.plan(batches, tools)
      expect(plan).toMatchObject({ batches, dropped: [], scoredTokens: 0 })
      const found = batches.map((batch, i) => {
        const { score_S, weight_S, weight_N } = plan.weigh(i, tools.look(batch))
        expect(weight_N).toBeUndefined()
        return [[...score_S.toFloat32Array()], [...weight_S.toFloat32Array()]]
      })
      expect(found).toEqual([
        [
          [0.75, 0.25],
          [1, 1],
        ],
        [[0.5], [1]],
      ])
    })
  })

  it('miss a signal that gives another number of scores than there are samples', () => {
    const short: Signal = { score: () => tensor([1], [1]) }
    const method = composeMethod(compositionOf({ signal: short, gate, ...how }))
    scope(() => {
      const evidence = lookAt(model, batches[0]!, { autocastDtype: undefined, reference: undefined })
      const plan = method.plan(batches, stepFacts({ device: model.device }))
      expect(() => plan.weigh(0, evidence)).toThrow(/method\.signal: expected one number for each of 2/)
    })
  })

  it('miss scores that are elsewhere than the model', () => {
    const elsewhere: Signal = { score: () => tensor([1, 2], [2]) }
    const method = composeMethod(compositionOf({ signal: elsewhere, gate, ...how }))
    scope(() => {
      const evidence = lookAt(model, batches[0]!, { autocastDtype: undefined, reference: undefined })
      const plan = method.plan(batches, stepFacts({ device: 'cuda:0' }))
      expect(() => plan.weigh(0, evidence)).toThrow(
        'method.signal: expected a tensor on cuda:0, where the model is, received one on cpu; make it with { device: facts.device }',
      )
    })
  })
})
