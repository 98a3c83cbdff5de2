import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { add, full, mm, mul, noGrad, normal_, scope, toDType } from '@adapt-ts/torch'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Batch } from '../../batch/index.js'
import type { AdaptError } from '../../errors.js'
import type { CausalLM } from '../decoder/causal-lm.js'
import { embedTokens, type ForwardOptions, runForward } from '../decoder/forward-pass.js'
import { toModelInputs } from '../decoder/model-inputs.js'
import { namedProjections } from '../decoder/named-projections.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  parameterValues,
  relativeDistance,
  worstDistance,
} from '../tiny-llama.test.fixture.js'
import { loadAdapterFolder, readAdapterConfig, saveAdapterFolder } from './adapter-folder.js'
import { addLora } from './add-lora.js'
import { LORA_DEFAULTS, type LoraConfig } from './lora-config.js'
import { mergeLora } from './merge-lora.js'

const draw = createTokens(5)
const [A, B, C] = [6, 4, 7].map((length, index) => ({ tokens: draw(length), index, id: `sample-${index}` }))
const BATCH = batchOf([[A!], [B!], [C!]])
const folder = mkdtempSync(join(tmpdir(), 'adapt-lora-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let model: CausalLM
beforeEach(() => {
  model = createTinyLlama()
})
afterEach(() => model.dispose())

/** Adapters that do something: B is not zero. */
function adapt(change: Partial<LoraConfig> = {}, target = model): void {
  addLora(target, { ...LORA_DEFAULTS, r: 3, loraAlpha: 6, targetModules: 'all-linear', ...change }, 4)
  noGrad(() => {
    for (const [, { lora }] of namedProjections(target)) if (lora) normal_(lora.B, 0, 0.3)
  })
}

const hidden = (batch: Batch, target = model) =>
  scope(() => embedTokens(target, toModelInputs(batch, target.device)).toFloat32Array())

/** Training forward: hidden states by sample, and the gradients of all trained parameters of their sum. */
function trained(batch: Batch, options: ForwardOptions = {}) {
  model.train()
  model.zeroGrad()
  return scope(() => {
    const pass = runForward(model, toModelInputs(batch, model.device), options)
    const all = pass.hidden_BTD.toFloat32Array()
    const width = all.length / batch.segment_BT.length
    const bySample = new Map<string, number[]>(batch.samples.map(({ id }) => [id, []]))
    for (const [i, segment] of batch.segment_BT.entries()) {
      if (segment >= 0)
        bySample.get(batch.samples[segment]!.id)!.push(...all.slice(i * width, (i + 1) * width))
    }
    pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
    const gradients = new Map(
      [...model.namedParameters()].flatMap(([name, { grad }]) =>
        grad ? [[name, grad.toFloat32Array()] as const] : [],
      ),
    )
    return { bySample, gradients }
  })
}

function codeOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    return (error as AdaptError).code
  }
  return 'nothing was thrown'
}

describe('a model with adapters', () => {
  it('computes what it did before they are trained', () => {
    const before = hidden(BATCH)
    addLora(model, { ...LORA_DEFAULTS, targetModules: 'all-linear' }, 0)
    expect(hidden(BATCH)).toEqual(before)
  })

  it('trains the adapters alone', () => {
    adapt({ targetModules: ['q_proj', 'down_proj'] })
    const { gradients } = trained(BATCH)
    expect([...gradients.keys()].sort()).toEqual(
      [0, 1]
        .flatMap((layer) =>
          ['mlp.down_proj', 'self_attn.q_proj'].map((name) => `model.layers.${layer}.${name}`),
        )
        .flatMap((name) => [`${name}.lora.A`, `${name}.lora.B`]),
    )
    expect(model.trainableParameters()).toHaveLength(8)
  })

  it('gives equal adapters for equal seeds', () => {
    adapt()
    using other = createTinyLlama()
    addLora(other, { ...LORA_DEFAULTS, r: 3, targetModules: 'all-linear' }, 4)
    const values = (of: CausalLM) => [...namedProjections(of)].map(([, { lora }]) => lora!.A.toFloat32Array())
    expect(values(other)).toEqual(values(model))
  })

  it.each([0, 0.4])('recomputes the same gradients under checkpointing (dropout %d)', (loraDropout) => {
    adapt({ loraDropout })
    const plain = trained(BATCH, { dropoutSeed: 3 })
    const checkpointed = trained(BATCH, { dropoutSeed: 3, checkpoint: true })
    expect(worstDistance(checkpointed.gradients, plain.gradients)).toBe(0)
  })
})

describe('lora_dropout', () => {
  beforeEach(() => adapt({ loraDropout: 0.5 }))

  it.each([
    ['alone', [[A!]]],
    ['in another order', [[C!], [B!], [A!]]],
    ['packed', [[B!, A!, C!]]],
  ])('drops the same inputs of a sample that stands %s', (_, rows) => {
    const packing = rows.some((row) => row.length > 1)
    const batch = batchOf(rows, packing ? { packing, maxLength: 20 } : {})
    const expected = trained(BATCH, { dropoutSeed: 8 }).bySample.get('sample-0')!
    const found = trained(batch, { dropoutSeed: 8 }).bySample.get('sample-0')!
    expect(relativeDistance(found, expected)).toBeLessThan(1e-6)
    expect(
      relativeDistance(found, trained(batch, { dropoutSeed: 9 }).bySample.get('sample-0')!),
    ).toBeGreaterThan(1e-3)
  })

  it('is off outside training', () => {
    expect(hidden(BATCH)).toEqual(hidden(BATCH))
    const dropped = trained(BATCH, { dropoutSeed: 1 }).bySample.get('sample-0')!
    const width = dropped.length / A!.tokens.length
    expect(relativeDistance(dropped, hidden(BATCH).slice(0, A!.tokens.length * width))).toBeGreaterThan(1e-3)
  })
})

describe('target_modules', () => {
  const adapted = () => [...namedProjections(model)].flatMap(([name, { lora }]) => (lora ? [name] : []))

  it('takes a regular expression over whole names', () => {
    adapt({ targetModules: 'model\\.layers\\.1\\..*(q|v)_proj' })
    expect(adapted()).toEqual(['model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.v_proj'])
  })

  it('takes the last parts of names', () => {
    adapt({ targetModules: ['0.self_attn.k_proj', 'up_proj'] })
    expect(adapted()).toEqual([
      'model.layers.0.self_attn.k_proj',
      'model.layers.0.mlp.up_proj',
      'model.layers.1.mlp.up_proj',
    ])
  })

  it.each([
    [['qproj']],
    [['q_proj', 'query']],
    ['.*nothing'],
    ['('],
    [['lm_head']],
    ['.*'],
  ])('refuses %o', (targetModules) => {
    expect(codeOf(() => adapt({ targetModules }))).toBe('BAD_LORA')
    expect(model.lora).toBeUndefined()
    expect(model.trainableParameters()).toHaveLength(model.parameters().length)
  })

  it.each([
    '(.+)+!',
    '(.|[^A])*!',
    '((.*)*)*y',
  ])('ends the pattern %s, which would run for ever', (pattern) => {
    const budget = expect.objectContaining({ code: 'PATTERN_BUDGET', exitCode: 7 })
    expect(() => adapt({ targetModules: pattern })).toThrow(budget)
    const stored = mkdtempSync(join(folder, 'hostile-'))
    using maker = createTinyLlama()
    adapt({}, maker)
    saveAdapterFolder(maker, stored)
    const file = join(stored, 'adapter_config.json')
    const json = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...json, target_modules: pattern }))
    expect(() => loadAdapterFolder(model, stored)).toThrow(budget)
    expect(model.lora).toBeUndefined()
  })

  it('refuses values out of range', () => {
    for (const change of [{ r: 0 }, { r: 1.5 }, { loraAlpha: 0 }, { loraDropout: 1 }]) {
      expect(codeOf(() => adapt(change))).toBe('BAD_LORA')
    }
  })
})

describe('an adapter folder', () => {
  it('gives the same model when it is read again', () => {
    adapt({ useRslora: true, targetModules: ['q_proj', 'up_proj'] })
    saveAdapterFolder(model, join(folder, 'again'), { baseModel: 'org/base' })
    using other = createTinyLlama()
    loadAdapterFolder(other, join(folder, 'again'))
    expect(hidden(BATCH, other)).toEqual(hidden(BATCH))
    expect(other.lora).toEqual(model.lora)
    const json = JSON.parse(readFileSync(join(folder, 'again', 'adapter_config.json'), 'utf8'))
    expect(json).toMatchObject({ peft_type: 'LORA', base_model_name_or_path: 'org/base', use_rslora: true })
  })

  it.each([
    ['org/base@v1.0', { base_model_name_or_path: 'org/base', revision: 'v1.0' }],
    ['org/base', { base_model_name_or_path: 'org/base', revision: null }],
    ['/models/base@v1.0', { base_model_name_or_path: '/models/base@v1.0', revision: null }],
  ])('keeps the revision of its base %s where PEFT looks for it', (baseModel, written) => {
    adapt()
    saveAdapterFolder(model, join(folder, 'pinned'), { baseModel })
    const json = JSON.parse(readFileSync(join(folder, 'pinned', 'adapter_config.json'), 'utf8'))
    expect(json).toMatchObject(written)
    expect(readAdapterConfig(join(folder, 'pinned')).baseModel).toBe(baseModel)
  })

  it('names the layers where all of them are adapted', () => {
    adapt()
    saveAdapterFolder(model, join(folder, 'all'))
    const json = JSON.parse(readFileSync(join(folder, 'all', 'adapter_config.json'), 'utf8'))
    expect(json.target_modules).toContain('gate_proj')
    expect(json.target_modules).toHaveLength(7)
  })

  it.each([
    ['use_dora', { use_dora: true }, 'UNSUPPORTED_ADAPTER'],
    ['modules_to_save', { modules_to_save: ['lm_head'] }, 'UNSUPPORTED_ADAPTER'],
    ['rank_pattern', { rank_pattern: { q_proj: 2 } }, 'UNSUPPORTED_ADAPTER'],
    ['bias', { bias: 'all' }, 'UNSUPPORTED_ADAPTER'],
    ['peft_type', { peft_type: 'IA3' }, 'UNSUPPORTED_ADAPTER'],
    ['use_rslora', { use_rslora: 1 }, 'UNSUPPORTED_ADAPTER'],
    ['lora_alpha', { lora_alpha: '16' }, 'UNSUPPORTED_ADAPTER'],
    ['layers_to_transform', { layers_to_transform: ['0'] }, 'UNSUPPORTED_ADAPTER'],
    ['r', { r: 4 }, 'ADAPTER_DIFFERS'],
    ['target_modules', { target_modules: ['k_proj'] }, 'ADAPTER_DIFFERS'],
    ['target_modules', { target_modules: ['q_proj', 'k_proj'] }, 'ADAPTER_DIFFERS'],
    ['target_modules', { target_modules: '.*layers\\.0\\..*q_proj' }, 'ADAPTER_DIFFERS'],
    ['layers_to_transform', { layers_to_transform: [1] }, 'ADAPTER_DIFFERS'],
    ['layers_to_transform', { layers_to_transform: [0, 1], layers_pattern: 'h' }, 'ADAPTER_DIFFERS'],
    ['exclude_modules', { exclude_modules: ['1.self_attn.q_proj'] }, 'ADAPTER_DIFFERS'],
    ['exclude_modules', { exclude_modules: '(.+)+!' }, 'PATTERN_BUDGET'],
    ['r', { r: -1 }, 'BAD_LORA'],
  ])('is refused for %s %o, and the model stays as it is', (key, change, code) => {
    adapt({ targetModules: ['q_proj'] })
    const at = join(folder, 'refused')
    saveAdapterFolder(model, at)
    const path = join(at, 'adapter_config.json')
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }))
    using other = createTinyLlama()
    const before = hidden(BATCH, other)
    expect(codeOf(() => loadAdapterFolder(other, at))).toBe(code)
    expect(hidden(BATCH, other)).toEqual(before)
    expect(key).toBeTruthy()
  })

  it('is for the layers that all keys of its config choose together', () => {
    const chosen = ['model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.v_proj']
    adapt({ targetModules: chosen })
    const at = join(folder, 'chosen')
    saveAdapterFolder(model, at)
    const path = join(at, 'adapter_config.json')
    const json = JSON.parse(readFileSync(path, 'utf8')) as object
    for (const change of [
      { target_modules: ['q_proj', 'v_proj'], layers_to_transform: [1] },
      { target_modules: ['q_proj', 'v_proj'], layers_to_transform: 1, layers_pattern: 'layers' },
      { target_modules: ['q_proj', 'k_proj', 'v_proj'], exclude_modules: '.*layers\\.0.*|.*k_proj' },
      { target_modules: '(?P<a>.*layers.1.*)(q|v)_proj' },
    ]) {
      writeFileSync(path, JSON.stringify({ ...json, ...change }))
      using other = createTinyLlama()
      loadAdapterFolder(other, at)
      expect(hidden(BATCH, other)).toEqual(hidden(BATCH))
    }
  })

  it('is refused when its weights are no floating-point numbers', () => {
    adapt({ targetModules: ['q_proj'] })
    const at = join(folder, 'integers')
    saveAdapterFolder(model, at)
    const file = join(at, 'adapter_model.safetensors')
    const bytes = readFileSync(file)
    bytes.write('"I32"', bytes.indexOf('"F32"'), 'latin1')
    writeFileSync(file, bytes)
    using other = createTinyLlama()
    expect(codeOf(() => loadAdapterFolder(other, at))).toBe('ADAPTER_DIFFERS')
  })

  it('is refused by a model of other widths', () => {
    adapt()
    saveAdapterFolder(model, join(folder, 'narrow'))
    using other = createTinyLlama({ intermediateSize: 32 })
    expect(codeOf(() => loadAdapterFolder(other, join(folder, 'narrow')))).toBe('ADAPTER_DIFFERS')
    using flat = createTinyLlama({ numHiddenLayers: 1 })
    expect(codeOf(() => loadAdapterFolder(flat, join(folder, 'narrow')))).toBe('ADAPTER_DIFFERS')
    expect(codeOf(() => loadAdapterFolder(flat, folder))).toBe('ADAPTER_NOT_FOUND')
  })
})

describe('merging', () => {
  it('folds the adapters into the weights', () => {
    adapt({ useRslora: true })
    const expected = hidden(BATCH)
    const before = parameterValues(model)
    mergeLora(model)
    expect(relativeDistance(hidden(BATCH), expected)).toBeLessThan(1e-6)
    expect([...model.namedParameters()].some(([name]) => name.includes('lora'))).toBe(false)
    const name = 'model.layers.0.mlp.up_proj.weight'
    expect(relativeDistance(parameterValues(model).get(name)!, before.get(name)!)).toBeGreaterThan(1e-2)
    expect(model.lora).toBeUndefined()
  })

  it('rounds once to the dtype of the weights', () => {
    const round = (of: CausalLM) => of.model.layers[0]!.mlp.up_proj
    round(model).weight.setRequiresGrad(false)
    model.to({ dtype: 'bfloat16' })
    adapt()
    const { weight, lora } = round(model)
    const exact = scope(() =>
      add(toDType(weight, 'float32'), mul(mm(lora!.B, lora!.A), lora!.scaling)).toFloat32Array(),
    )
    mergeLora(model)
    const merged = round(model).weight.toFloat32Array()
    // Half a unit of the last of 8 bits.
    expect(merged.every((value, i) => Math.abs(value - exact[i]!) <= Math.abs(exact[i]!) * 2 ** -8)).toBe(
      true,
    )
    expect(merged).not.toEqual(exact)
  })
})
