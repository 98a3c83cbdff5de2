import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LAYOUTS, layoutBatch, openGolden, openTensors } from '../model/golden.test.fixture.js'
import {
  addLora,
  LORA_DEFAULTS,
  loadAdapterFolder,
  loadModelFolder,
  mergeLora,
  saveAdapterFolder,
} from '../model/index.js'
import {
  gradientValues,
  parameterValues,
  relativeDistance,
  worstDistance,
} from '../model/tiny-llama.test.fixture.js'
import { adapterValues, runMeanLoss } from './golden-model.test.fixture.js'

const scratch = mkdtempSync(join(tmpdir(), 'adapt-golden-lora-'))
afterAll(() => rmSync(scratch, { recursive: true }))

describe.each(['lora-llama', 'lora-llama-rslora', 'lora-qwen2-all-linear'])('%s as PEFT wrote it', (name) => {
  const golden = openGolden<{ loss: number; modules: string[] }>(name)
  const open = () => {
    const model = loadModelFolder(golden.modelFolder)
    loadAdapterFolder(model, golden.path('adapter'))
    return model
  }

  it('has adapters beside the same layers, and only they are trained', () => {
    using model = open()
    const trained = [...model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad)
    const expected = golden.values.modules.flatMap((module) => [`${module}.lora.A`, `${module}.lora.B`])
    expect(trained.map(([parameter]) => parameter).sort()).toEqual(expected.sort())
  })

  it.each(LAYOUTS)('gives its logits, loss and gradients of A and B, samples laid out %s', (layout) => {
    for (const checkpoint of [false, true]) {
      using model = open()
      const { loss, logits_NV } = runMeanLoss(model, layoutBatch(golden, layout), { checkpoint })
      expect(relativeDistance(logits_NV, golden.floats('logits_BTV'))).toBeLessThan(golden.tolerance)
      expect(Math.abs(loss / golden.values.loss - 1)).toBeLessThan(golden.tolerance)
      const gradients = gradientValues(model)
      expect(worstDistance(adapterValues(gradients), golden.all('grad.'))).toBeLessThan(golden.tolerance)
      const frozen = [...gradients].filter(([parameter]) => !parameter.includes('.lora.'))
      expect(frozen.every(([, values]) => values.every((value) => value === 0))).toBe(true)
    }
  })

  it('gives the weights of merge_and_unload, and leaves the others alone', () => {
    using model = open()
    const before = parameterValues(model)
    mergeLora(model)
    const expected = golden.all('merged.')
    for (const [parameter, values] of parameterValues(model)) {
      const merged = expected.get(parameter)
      if (merged) expect(relativeDistance(values, merged)).toBeLessThan(golden.tolerance)
      else expect(values).toEqual(before.get(parameter))
    }
    expect(model.lora).toBeUndefined()
  })

  it("is written again with PEFT's names and keys", () => {
    using model = open()
    const folder = join(scratch, name)
    saveAdapterFolder(model, folder)
    const file = 'adapter_model.safetensors'
    expect(openTensors(join(folder, file)).all('')).toEqual(
      openTensors(golden.path(`adapter/${file}`)).all(''),
    )
    const read = (path: string) =>
      JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(read(golden.path('adapter'))).toMatchObject(read(folder))
  })
})

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

describe('an adapter_config.json that says more than plain LoRA', () => {
  const golden = openGolden('lora-llama')
  const json = JSON.parse(readFileSync(golden.path('adapter/adapter_config.json'), 'utf8')) as object

  it.each([
    { lora_bias: true },
    { alpha_pattern: { q_proj: 8 } },
    { trainable_token_indices: [1] },
    { target_parameters: ['weight'] },
    { fan_in_fan_out: true },
    { task_type: 'SEQ_CLS' },
    // These take their part out of the base weights, which would have to be computed again.
    { init_lora_weights: 'pissa_niter_4' },
    { init_lora_weights: 'olora' },
    { init_lora_weights: 'loftq' },
  ])('is refused by name: %o', (change) => {
    const folder = mkdtempSync(join(scratch, 'changed-'))
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...json, ...change }))
    using model = loadModelFolder(golden.modelFolder)
    const [key] = Object.keys(change)
    expect(() => loadAdapterFolder(model, folder)).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED_ADAPTER',
        message: expect.stringContaining(`adapter_config.json: ${key} `),
      }),
    )
  })

  it('names its layers one by one when it narrowed them by other keys, or by a pattern of Python alone', () => {
    for (const targets of [['q_proj', 'v_proj', 'k_proj'], '(?i).*[QV]_PROJ']) {
      const folder = mkdtempSync(join(scratch, 'narrowed-'))
      const changed = { ...json, target_modules: targets, exclude_modules: ['k_proj'] }
      writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(changed))
      copyFileSync(
        golden.path('adapter/adapter_model.safetensors'),
        join(folder, 'adapter_model.safetensors'),
      )
      using model = loadModelFolder(golden.modelFolder)
      loadAdapterFolder(model, folder)
      expect(model.lora?.targetModules).toEqual(
        openGolden<{ modules: string[] }>('lora-llama').values.modules,
      )
    }
  })

  it.each([true, false, 'gaussian', 'eva', 'orthogonal'])('may have begun in another way: %o', (init) => {
    const folder = mkdtempSync(join(scratch, 'begun-'))
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...json, init_lora_weights: init }))
    const file = 'adapter_model.safetensors'
    copyFileSync(golden.path(`adapter/${file}`), join(folder, file))
    using model = loadModelFolder(golden.modelFolder)
    loadAdapterFolder(model, folder)
    expect(model.lora?.r).toBe(4)
  })
})
