import { describe, expect, it } from 'vitest'
import { configWarnings, parseConfig, type RunOptions } from './index.js'

const parse = (training: RunOptions['training'], evaluation: RunOptions['evaluation'] = {}) =>
  parseConfig({
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: 'tokenizer',
    data: { train: ['a.jsonl'] },
    method: 'uniform',
    outputDir: 'runs/a',
    training,
    evaluation,
  })

describe('ema_decay', () => {
  it('is what evaluation.weights: ema needs', () => {
    expect(() => parse({}, { weights: 'ema' })).toThrow(
      'evaluation.weights: expected raw without training.emaDecay, received ema',
    )
    const { training, evaluation } = parse({ emaDecay: 0.99 }, { weights: 'ema' })
    expect([training.ema_decay, evaluation.weights]).toEqual([0.99, 'ema'])
    expect(parse({}).training).not.toHaveProperty('ema_decay')
    expect(() => parse({ emaDecay: 0.9 }, { weights: 'mean' as 'ema' })).toThrow('evaluation.weights')
  })

  it('that averages over more than the run is warned of, where its steps are known', () => {
    expect(configWarnings(parse({ emaDecay: 0.999, maxSteps: 100 }))).toEqual([
      'training.ema_decay: after max_steps (100) the average still is 90 % of the weights that the run began with; lower it',
    ])
    expect(configWarnings(parse({ emaDecay: 0.99, maxSteps: 300 }))).toEqual([])
    expect(configWarnings(parse({ emaDecay: 0.999 }))).toEqual([])
  })
})
