import { mul_, noGrad, scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createMethod } from '../catalog/index.js'
import { batchOf, createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { Trainer } from '../train/index.js'
import { requireFiniteState } from './require-finite.js'

const BATCH = batchOf([[{ tokens: [1, 5, 9, 2] }], [{ tokens: [3, 4, 6] }]])

function withTrainer(use: (trainer: Trainer) => void): void {
  using model = createTinyLlama()
  using trainer = new Trainer(model, createMethod('adapt'), [BATCH], { totalSteps: 4, learningRate: 1e-3 })
  trainer.runStep([BATCH])
  use(trainer)
}

describe('requireFiniteState', () => {
  it('lets a state of numbers pass', () => {
    withTrainer((trainer) => expect(() => requireFiniteState(trainer, undefined)).not.toThrow())
  })

  it.each([
    ['a weight', (trainer: Trainer) => trainer.model.model.layers[1]!.mlp.up_proj.weight],
    ['a moment', (trainer: Trainer) => trainer.state().optimizer.get('exp_avg_sq.3')!],
    ['the centroid of the anchors', (trainer: Trainer) => trainer.state().method.get('centroid')!],
  ])('names %s that is none', (_, tensorOf) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      withTrainer((trainer) => {
        noGrad(() => scope(() => mul_(tensorOf(trainer), value)))
        expect(() => requireFiniteState(trainer, 7)).toThrow(
          expect.objectContaining({ code: 'STATE_NOT_FINITE', exitCode: 4 }),
        )
        expect(() => requireFiniteState(trainer, 7)).toThrow(
          /^step 1: \S+ holds .* checkpoint is that of step 7/,
        )
      })
    }
  })
})
