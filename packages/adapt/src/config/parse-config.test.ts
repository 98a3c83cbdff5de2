import { describe, expect, it } from 'vitest'
import type { AdaptError } from '../errors.js'
import { parseConfigText } from './load-config.js'
import { parseConfig } from './parse-config.js'
import type { RunOptions } from './run-options.js'

const RUN: RunOptions = {
  model: { init: 'scratch', preset: 'llama-1m', config: { hiddenSize: 64, numAttentionHeads: 2 } },
  tokenizer: 'tok',
  data: { train: ['a_b/*.jsonl', { path: 'c.jsonl', textField: 'body_text' }], maxLength: 24 },
  anchors: ['anchors.jsonl'],
  method: { preset: 'adapt', signal: { refreshEvery: 'epoch' }, gate: { wMin: 0.1 } },
  training: {
    maxSteps: 30,
    perDeviceTrainBatchSize: 4,
    adamBeta1: 0.8,
    lrSchedulerType: 'wsd',
    warmupSteps: undefined!,
  },
  outputDir: 'runs/someName',
}

function problemsOf(options: unknown): string[] {
  try {
    parseConfig(options as RunOptions)
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', exitCode: 2 })
    return (error as AdaptError).message.split('\n')
  }
  return []
}

describe('parseConfig', () => {
  it('means the same as the file with the same keys in snake_case', () => {
    const text = `
model: { init: scratch, preset: llama-1m, config: { hidden_size: 64, num_attention_heads: 2 } }
tokenizer: tok
data: { train: [a_b/*.jsonl, { path: c.jsonl, text_field: body_text }], max_length: 24 }
anchors: [anchors.jsonl]
method: { preset: adapt, signal: { refresh_every: epoch }, gate: { w_min: 0.1 } }
training: { max_steps: 30, per_device_train_batch_size: 4, adam_beta1: 0.8, lr_scheduler_type: wsd }
output_dir: runs/someName
`
    expect(parseConfig(RUN)).toEqual(parseConfigText(text, 'run.yaml'))
  })

  it('names problems by the keys that the caller wrote, with the nearest name', () => {
    expect(problemsOf({ ...RUN, training: { maxStep: 3, learningRate: -1 } }).sort()).toEqual([
      'training.learningRate: expected a number in [1e-12, 1000000], received -1',
      'training.maxStep: expected a known key, received "maxStep" (did you mean "maxSteps"?)',
    ])
    expect(problemsOf({ ...RUN, training: { warmupRatio: 0.1, warmupSteps: 2 } })).toEqual([
      'training.warmupSteps: expected either warmupRatio or warmupSteps, received both',
    ])
    expect(problemsOf({})).toContain(
      'tokenizer: expected a folder with tokenizer.json (a model with a path brings its own), received nothing',
    )
  })

  it('takes the tokenizer of a model with a path, where none is named', () => {
    const { tokenizer: _, ...rest } = RUN
    expect(parseConfig({ ...rest, model: { path: 'org/name' } }).tokenizer).toBe('org/name')
    expect(parseConfig({ ...RUN, model: { path: 'org/name' } }).tokenizer).toBe(RUN.tokenizer)
  })

  it('refuses what JSON could not hold', () => {
    expect(problemsOf({ ...RUN, tokenizer: () => 'x' })[0]).toMatch(/^tokenizer: expected text, received/)
    expect(problemsOf(undefined)[0]).toMatch(/expected a mapping, received/)
  })
})
