import { describe, expect, it } from 'vitest'
import { configWarnings, parseConfig, type RunOptions } from './index.js'

const parse = (training: RunOptions['training'], more: Partial<RunOptions> = {}) =>
  parseConfig({
    model: { init: 'scratch', preset: 'llama-1m' },
    tokenizer: 'tokenizer',
    data: { train: ['a.jsonl'] },
    method: 'uniform',
    outputDir: 'runs/a',
    training,
    ...more,
  } as RunOptions)

const refusal = (...args: Parameters<typeof parse>): string => {
  try {
    parse(...args)
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

const heldOut = { data: { train: ['a.jsonl'], valSetSize: 5 } }
const sets = (...names: (string | undefined)[]) => ({
  evaluation: {
    everySteps: 5,
    sets: names.map((name, i) => ({ path: `${i}.jsonl`, ...(name === undefined ? {} : { name }) })),
  },
})

describe('load_best_model_at_end and early_stopping_patience', () => {
  it.each([
    [
      { loadBestModelAtEnd: true },
      {},
      'training.loadBestModelAtEnd: expected evaluations to compare: set evaluation.everySteps',
    ],
    [
      { earlyStoppingPatience: 2 },
      heldOut,
      'training.earlyStoppingPatience: expected evaluations to compare',
    ],
    [{ earlyStoppingPatience: 2 }, { evaluation: { everySteps: 5 } }, 'received neither of them'],
  ])('need evaluations: %o', (training, more, said) => {
    expect(refusal(training, more)).toContain(said)
  })

  it.each([
    [
      undefined,
      sets('law'),
      'eval_bits_per_byte, eval_law_bits_per_byte (a loss needs data.valSetSize), received "eval_loss", the default',
    ],
    ['eval_lawn_bits_per_byte', sets('law'), 'received "eval_lawn_bits_per_byte"'],
    [
      'eval_bits_per_byte',
      { ...heldOut, evaluation: { everySteps: 5 } },
      'expected one of eval_loss, eval_<source>_loss, received',
    ],
    ['accuracy', sets('law', undefined), 'eval_<set>_bits_per_byte, received "accuracy"'],
  ])('take a figure that evaluations give: not %s', (metricForBestModel, more, said) => {
    const metric = metricForBestModel === undefined ? {} : { metricForBestModel }
    expect(refusal({ loadBestModelAtEnd: true, ...metric }, more)).toContain(said)
  })

  it.each([
    [{}, { ...heldOut, evaluation: { everySteps: 5 } }],
    [{ metricForBestModel: 'loss' }, { ...heldOut, ...sets('law') }],
    [{ metricForBestModel: 'eval_web_loss' }, { ...heldOut, ...sets('law') }],
    [{ metricForBestModel: 'bits_per_byte' }, sets('law')],
    [{ metricForBestModel: 'eval_law_bits_per_byte' }, sets('law', 'code')],
    // The records may name it.
    [{ metricForBestModel: 'eval_any_bits_per_byte' }, sets('law', undefined)],
  ])('take %o', (training, more) => {
    expect(refusal({ loadBestModelAtEnd: true, ...training }, more)).toBe('none')
  })

  it('are what the keys around them need', () => {
    const config = parse({ metricForBestModel: 'eval_loss', earlyStoppingThreshold: 0.1 })
    expect(configWarnings(config)).toEqual([
      'training.metric_for_best_model: no effect without load_best_model_at_end or early_stopping_patience',
      'training.early_stopping_threshold: no effect without early_stopping_patience',
    ])
  })
})

describe('report_to', () => {
  it.each(['wandb', 'trackio', ['tensorboard', 'wandb']])('(%s) says what to use instead', (reportTo) => {
    const message = refusal({ reportTo } as unknown as RunOptions['training'])
    expect(message).toMatch(
      /^training\.reportTo\S*: expected tensorboard or none \(W&B imports TensorBoard files: wandb sync /,
    )
    expect(message.split('\n')).toHaveLength(1)
  })
})
