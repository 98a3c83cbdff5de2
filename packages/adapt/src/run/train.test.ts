import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import type { RunOptions } from '../config/index.js'
import { train } from './train.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** What the workshop's config file says, with four steps. */
const optionsFor = (name: string): RunOptions => ({
  model: {
    init: 'scratch',
    preset: 'llama-1m',
    config: {
      hiddenSize: 16,
      intermediateSize: 24,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      maxPositionEmbeddings: 64,
      tieWordEmbeddings: true,
    },
  },
  tokenizer: 'tokenizer',
  data: { train: ['web.jsonl', 'code.jsonl'], maxLength: 48, numWorkers: 0, cacheDir: 'cache' },
  anchors: ['anchors.jsonl'],
  method: 'uniform',
  training: { maxSteps: 4, perDeviceTrainBatchSize: 2, learningRate: 0.01, seed: 1, bf16: false },
  evaluation: { sets: ['held-out.jsonl'], everySteps: 10 },
  outputDir: workshop.runFolder(name),
})

describe('train', () => {
  it('gives the run of a config file to the bit, reports its steps and prints nothing', async () => {
    const written = vi.spyOn(process.stdout, 'write')
    const seen: (readonly [number, number])[] = []
    const lines: string[] = []
    const ours = await train(optionsFor('code'), {
      baseDir: workshop.root,
      onStep: ({ step }, total) => seen.push([step, total]),
      onLine: (line) => lines.push(line),
    })
    expect(written).not.toHaveBeenCalled()
    written.mockRestore()
    const { outcome: theirs } = await workshop.train('file', ['training.max_steps=4'])
    expect(ours.steps.map(({ lossWeighted, gradNorm }) => [lossWeighted, gradNorm])).toEqual(
      theirs.steps.map(({ lossWeighted, gradNorm }) => [lossWeighted, gradNorm]),
    )
    expect(seen).toEqual([1, 2, 3, 4].map((step) => [step, 4]))
    expect(lines[0]).toMatch(/^warning: anchors: not used/)
    const config = (folder: string) => readFileSync(path.join(folder, 'config.yaml'), 'utf8')
    expect(config(ours.outputDir).replace('runs/code', 'runs/file')).toBe(config(theirs.outputDir))
  })

  it('refuses what a file could not say before it touches anything', async () => {
    const wrong = { ...optionsFor('wrong'), training: { maxSteps: 0 } }
    await expect(train(wrong)).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringMatching(/^training\.maxSteps: /),
    })
    await expect(train(optionsFor('elsewhere'), { baseDir: workshop.file('nowhere') })).rejects.toMatchObject(
      {
        code: 'FILE_NOT_FOUND',
      },
    )
  })
})
