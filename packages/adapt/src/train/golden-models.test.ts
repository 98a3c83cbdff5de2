import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LAYOUTS, layoutBatch, openGolden } from '../model/golden.test.fixture.js'
import { type CausalLM, loadModelFolder, saveModelFolder } from '../model/index.js'
import {
  gradientValues,
  parameterValues,
  relativeDistance,
  worstDistance,
} from '../model/tiny-llama.test.fixture.js'
import { runMeanLoss } from './golden-model.test.fixture.js'

const MODELS = [
  'model-llama',
  'model-llama3',
  'model-llama-linear',
  'model-llama-bias',
  'model-smollm',
  'model-mistral',
  'model-qwen2',
  'model-qwen2-window',
  'model-qwen3',
]
const scratch = mkdtempSync(join(tmpdir(), 'adapt-golden-models-'))
afterAll(() => rmSync(scratch, { recursive: true }))

describe.each(MODELS)('%s as transformers wrote it', (name) => {
  const golden = openGolden<{ loss: number; numLabels: number }>(name)

  const expectReference = (model: CausalLM, layout: (typeof LAYOUTS)[number], checkpoint = false) => {
    const { loss, numLabels, logits_NV } = runMeanLoss(model, layoutBatch(golden, layout), { checkpoint })
    expect(numLabels).toBe(golden.values.numLabels)
    expect(relativeDistance(logits_NV, golden.floats('logits_BTV'))).toBeLessThan(golden.tolerance)
    expect(Math.abs(loss / golden.values.loss - 1)).toBeLessThan(golden.tolerance)
    expect(worstDistance(gradientValues(model), golden.all('grad.'))).toBeLessThan(golden.tolerance)
  }

  it.each(LAYOUTS)('gives its logits, loss and gradients, samples laid out %s', (layout) => {
    for (const checkpoint of [false, true]) {
      using model = loadModelFolder(golden.modelFolder)
      expectReference(model, layout, checkpoint)
    }
  })

  it('is the same model after it was saved and loaded', () => {
    using first = loadModelFolder(golden.modelFolder)
    const folder = join(scratch, name)
    saveModelFolder(first, folder)
    using second = loadModelFolder(folder)
    expect(second.config).toEqual(first.config)
    expect(parameterValues(second)).toEqual(parameterValues(first))
    expectReference(second, 'packed')
  })

  if (!existsSync(golden.path('config-transformers-4.json'))) return
  it('is the same model with the config.json of transformers 4', () => {
    const folder = mkdtempSync(join(scratch, 'old-'))
    copyFileSync(golden.path('config-transformers-4.json'), join(folder, 'config.json'))
    copyFileSync(join(golden.modelFolder, 'model.safetensors'), join(folder, 'model.safetensors'))
    using model = loadModelFolder(folder)
    expectReference(model, 'left')
  })
})
