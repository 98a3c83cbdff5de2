import { copy_, noGrad, scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { LAYOUTS, layoutBatch, openGolden } from '../model/golden.test.fixture.js'
import { addLora, type CausalLM, LORA_DEFAULTS, loadModelFolder, mergeLora } from '../model/index.js'
import { gradientValues, parameterValues, worstDistance } from '../model/tiny-llama.test.fixture.js'
import { runMeanLoss } from './golden-model.test.fixture.js'

describe('target_modules', () => {
  interface Choice {
    readonly targets: string[] | string | null
    readonly modules?: string[]
    readonly error?: string
  }
  const golden = openGolden<{ targets: Choice[] }>('lora-targets')
  const isBlockLayer = (name: string) => name.startsWith('model.layers.')

  it.each(golden.values.targets)('$targets: as PEFT, or an error', ({ targets, modules }) => {
    using model = loadModelFolder(golden.modelFolder)
    const config = { ...LORA_DEFAULTS, ...(targets === null ? {} : { targetModules: targets }) }
    const adapted = () => {
      addLora(model, config, 0)
      const names = [...model.namedParameters()].map(([name]) => name)
      return names.filter((name) => name.endsWith('.lora.A')).map((name) => name.slice(0, -'.lora.A'.length))
    }
    // PEFT passes over a name that is not there, and adapts embedding and head.
    const isRefusedHere = !modules?.every(isBlockLayer) || targets?.includes('nothing')
    if (isRefusedHere) expect(adapted).toThrow(expect.objectContaining({ code: 'BAD_LORA' }))
    else expect(adapted().sort()).toEqual(modules)
  })
})
