import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

/** Other spellings of a stored config.json that transformers reads to the same figures; `npm run reference` shows it. */
const SPELLINGS: readonly (readonly [string, string, (config: Json) => Json])[] = [
  [
    'llama3 with the original context beside the rotary settings',
    'model-llama3',
    ({ rope_parameters, ...config }) => {
      const { original_max_position_embeddings, ...rest } = rope_parameters as Json
      return { ...config, original_max_position_embeddings, rope_parameters: rest }
    },
  ],
  [
    'llama3 with settings in the older place, and an empty newer one',
    'model-llama3',
    ({ rope_parameters, ...config }) => {
      const { rope_theta, rope_type, ...rest } = rope_parameters as Json
      return { ...config, rope_theta, rope_scaling: { ...rest, type: rope_type }, rope_parameters: {} }
    },
  ],
  [
    'a head that is called tied and is stored with other values',
    'model-llama',
    (config) => ({ ...config, tie_word_embeddings: true }),
  ],
  ['a model without architectures', 'model-qwen3', ({ architectures: _, ...config }) => config],
  [
    'Mistral with layer_types',
    'model-mistral',
    (config) => ({ ...config, layer_types: ['sliding_attention', 'sliding_attention'] }),
  ],
]

type Json = Readonly<Record<string, unknown>>

describe('another spelling of config.json', () => {
  it.each(SPELLINGS)('%s gives what transformers gives', (_, name, spell) => {
    const golden = openGolden<{ loss: number }>(name)
    const folder = mkdtempSync(join(scratch, 'spelled-'))
    const config = JSON.parse(readFileSync(join(golden.modelFolder, 'config.json'), 'utf8')) as Json
    writeFileSync(join(folder, 'config.json'), JSON.stringify(spell(config)))
    copyFileSync(join(golden.modelFolder, 'model.safetensors'), join(folder, 'model.safetensors'))
    using model = loadModelFolder(folder)
    const { loss, logits_NV } = runMeanLoss(model, layoutBatch(golden, 'packed'))
    expect(relativeDistance(logits_NV, golden.floats('logits_BTV'))).toBeLessThan(golden.tolerance)
    expect(Math.abs(loss / golden.values.loss - 1)).toBeLessThan(golden.tolerance)
  })
})
