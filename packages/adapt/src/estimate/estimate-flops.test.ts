import { describe, expect, it } from 'vitest'
import { resolveMethod } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { estimateFlops } from './estimate-flops.js'
import type { ParameterEstimate } from './estimate-parameters.js'

const sized = (embedding: number, nonEmbedding: number): ParameterEstimate => ({
  total: embedding + nonEmbedding,
  trainable: embedding + nonEmbedding,
  embedding,
  nonEmbedding,
  adapters: [],
})

describe('estimated preparation', () => {
  const method = resolveMethod({ preset: 'ppl', signal: { model: 'teacher', scored: 1 } }, (_, message) => {
    throw new Error(message)
  })
  const training = { gradient_checkpointing: false, gradient_accumulation_steps: 1 }
  const config = { method, training } as Pick<RunConfig, 'method' | 'training'>
  const TOKENS = 1000
  const length = {
    ...{ steps: 10, stepsPerEpoch: 10, tokens: 500, samples: 10, tokensPerPass: TOKENS },
    basis: 'upper bound',
  } as const
  const anchors = { count: 0, tokensEach: 0 }

  it('charges a model that the method reads by its own size, under both conventions', () => {
    const flops = estimateFlops(config, sized(7, 70), length, anchors, { model: sized(3, 20) })
    expect(flops.preparation).toBe(2 * 23 * TOKENS)
    expect(flops.withoutEmbedding.preparation).toBe(2 * 20 * TOKENS)
  })

  it('charges it as if it were the model of the run where it is not there', () => {
    expect(estimateFlops(config, sized(7, 70), length, anchors).preparation).toBe(2 * 77 * TOKENS)
  })
})
