import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import {
  copy_,
  type DType,
  memoryStats,
  noGrad,
  ones,
  scope,
  type Tensor,
  tensor,
  toDType,
  writeSafetensors,
} from '@adapt-ts/torch'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../../errors.js'
import { embedTokens } from '../decoder/forward-pass.js'
import { toModelInputs } from '../decoder/model-inputs.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  parameterValues,
  relativeDistance,
  worstDistance,
} from '../tiny-llama.test.fixture.js'
import { type LoadModelOptions, loadModelFolder } from './load-model.js'
import { saveModelFolder } from './save-model.js'

let root = ''
let folder = ''
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-model-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  folder = mkdtempSync(path.join(root, 'case-'))
})

const inFolder = (name: string) => path.join(folder, name)
const readConfig = () => JSON.parse(readFileSync(inFolder('config.json'), 'utf8')) as Record<string, unknown>
const editConfig = (change: Record<string, unknown>) =>
  writeFileSync(inFolder('config.json'), JSON.stringify({ ...readConfig(), ...change }))

/** Saves a tiny model, with the list of tensors changed, and returns its parameters. */
function saveTiny(
  edit: (tensors: Map<string, Tensor>) => void = () => {},
  tied = false,
): Map<string, Float32Array> {
  const model = createTinyLlama({ tieWordEmbeddings: tied })
  try {
    saveModelFolder(model, folder)
    return scope(() => {
      const tensors = new Map<string, Tensor>(model.namedParameters())
      edit(tensors)
      writeSafetensors(inFolder('model.safetensors'), tensors)
      return parameterValues(model)
    })
  } finally {
    model.dispose()
  }
}

function loadParameters(): Map<string, Float32Array> {
  const model = loadModelFolder(folder)
  try {
    return parameterValues(model)
  } finally {
    model.dispose()
  }
}

function loadError(): AdaptError {
  try {
    loadModelFolder(folder).dispose()
  } catch (error) {
    expect(error).toBeInstanceOf(AdaptError)
    return error as AdaptError
  }
  throw new Error('the folder was loaded')
}

describe('a model folder', () => {
  it.each([true, false])('comes back bit for bit in float32 (tied: %s)', (tied) => {
    const before = saveTiny(undefined, tied)
    expect(loadParameters()).toEqual(before)
    expect(before.has('lm_head.weight')).toBe(!tied)
  })

  it('comes back within bfloat16 rounding when saved in bfloat16', () => {
    const model = createTinyLlama()
    saveModelFolder(model, folder, { dtype: 'bfloat16' })
    const before = parameterValues(model)
    model.dispose()
    expect(readConfig().torch_dtype).toBe('bfloat16')
    const after = loadParameters()
    expect(worstDistance(after, before)).toBeLessThan(2 ** -8)
    expect(after).not.toEqual(before)
  })

  it('may hold a tied head a second time', () => {
    const before = saveTiny(
      (tensors) => tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!),
      true,
    )
    expect(loadParameters()).toEqual(before)
  })

  it('may hold the rotary buffers of old checkpoints', () => {
    // theta^(-2i/E) for theta 10,000 and E 4, in 16 bits as Llama 1 was stored.
    const frequencies = (values: number[]) => (tensors: Map<string, Tensor>) =>
      tensors.set('model.layers.0.self_attn.rotary_emb.inv_freq', toDType(tensor(values, [2]), 'float16'))
    const before = saveTiny(frequencies([1, 0.01]))
    expect(loadParameters()).toEqual(before)
    saveTiny(frequencies([1, 0.05]))
    expect(loadError()).toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringContaining('rotary_emb.inv_freq holds other frequencies than rope_theta 10000'),
    })
  })

  it('keeps a head of its own that config.json calls tied, and says so when it is saved', () => {
    const other = Float32Array.from({ length: 53 * 16 }, (_, i) => Math.sin(i))
    const before = saveTiny((tensors) => tensors.set('lm_head.weight', tensor(other, [53, 16])), true)
    using model = loadModelFolder(folder)
    expect(parameterValues(model)).toEqual(new Map([...before, ['lm_head.weight', other]]))
    saveModelFolder(model, folder)
    expect(readConfig().tie_word_embeddings).toBe(false)
    expect(loadParameters()).toEqual(parameterValues(model))
  })

  it('reads a tied table that is stored under the name of the head', () => {
    const before = saveTiny((tensors) => {
      tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!)
      tensors.delete('model.embed_tokens.weight')
    }, true)
    expect(loadParameters()).toEqual(before)
  })

  it('refuses a tied head of another shape than the embedding', () => {
    saveTiny((tensors) => tensors.set('lm_head.weight', ones([54, 16])), true)
    expect(loadError()).toMatchObject({
      code: 'SHAPES_DIFFER',
      message: expect.stringContaining('lm_head.weight is [54, 16]'),
    })
  })

  it('writes the special ids and the file header that transformers looks for', () => {
    const model = createTinyLlama()
    saveModelFolder(model, folder, { bosId: 0, eosId: 1, padId: 2 })
    model.dispose()
    expect(readConfig()).toMatchObject({
      bos_token_id: 0,
      eos_token_id: 1,
      pad_token_id: 2,
      model_type: 'llama',
    })
    expect(readFileSync(inFolder('model.safetensors')).subarray(8, 400).toString()).toContain('"format":"pt"')
  })

  it('copies the tokenizer files that are there', () => {
    const tokenizer = mkdtempSync(path.join(root, 'tokenizer-'))
    writeFileSync(path.join(tokenizer, 'tokenizer.json'), '{"a":1}')
    const model = createTinyLlama()
    saveModelFolder(model, folder, { tokenizerFolder: tokenizer })
    model.dispose()
    expect(readFileSync(inFolder('tokenizer.json'), 'utf8')).toBe('{"a":1}')
  })
})

describe('dtype on load', () => {
  const dtypesOf = (options: LoadModelOptions) => {
    const model = loadModelFolder(folder, options)
    const found = new Set(model.parameters().map(({ dtype }) => dtype))
    const trained = model.parameters().some(({ requiresGrad }) => requiresGrad)
    model.dispose()
    return [[...found], trained]
  }
  const saveAs = (stored: DType) =>
    saveTiny((tensors) => {
      for (const [name, parameter] of tensors) tensors.set(name, toDType(parameter, stored))
    })

  it.each([
    ['float32', 'float32'],
    ['bfloat16', 'bfloat16'],
    ['float16', 'float32'],
  ] as const)('auto makes %s files %s parameters', (stored, dtype) => {
    saveAs(stored)
    expect(dtypesOf({ dtype: 'auto' })).toEqual([[dtype], true])
    expect(dtypesOf({})).toEqual([['float32'], true])
    expect(dtypesOf({ dtype: 'bfloat16', requiresGrad: false })).toEqual([['bfloat16'], false])
  })

  it('float16 files come back exactly in float32', () => {
    const before = saveAs('float16')
    expect(worstDistance(loadParameters(), before)).toBeLessThan(2 ** -11)
  })

  it('is never one of whole numbers: weights that are quantised are refused', () => {
    saveTiny((tensors) => tensors.set('model.norm.weight', ones([16], { dtype: 'int8' })))
    const error = loadError()
    expect(error).toMatchObject({ code: 'UNSUPPORTED_MODEL', exitCode: 2 })
    expect(error.message).toContain('model.norm.weight is int8; expected float32, float16 or bfloat16')
  })
})

describe('loadModelFolder refuses', () => {
  it.each([
    [{ auto_map: { AutoModel: 'x.Model' } }, 'auto_map names Python code'],
    [{ quantization_config: { quant_method: 'gptq' } }, 'quantised by gptq'],
    [{ quantization_config: {} }, 'quantised (quantization_config)'],
    [{ architectures: ['GPT2LMHeadModel'] }, 'LlamaForCausalLM, MistralForCausalLM'],
  ])('a config with %o, by name', (change, text) => {
    saveTiny()
    editConfig(change)
    expect(loadError()).toMatchObject({ exitCode: 2, message: expect.stringContaining(text) })
  })

  it.each([
    ['pytorch_model.bin', 'pickled weights run code'],
    ['consolidated.00.pth', 'pickled weights run code'],
    ['model.ckpt', 'pickled weights run code'],
    ['model-q4.gguf', 'GGUF is a format of llama.cpp'],
    ['consolidated.safetensors', 'not in the layout of transformers'],
    ['tf_model.h5', 'only safetensors are read'],
    ['notes.txt', 'the weights are missing'],
  ])('a folder whose weights are %s, with what mends it', (name, text) => {
    saveTiny()
    rmSync(inFolder('model.safetensors'))
    writeFileSync(inFolder(name), 'x')
    expect(loadError()).toMatchObject({
      code: 'MODEL_NOT_FOUND',
      exitCode: 2,
      message: expect.stringContaining(text),
    })
  })

  it('an adapter folder, and says where it belongs', () => {
    writeFileSync(inFolder('adapter_config.json'), '{}')
    expect(loadError().message).toContain(
      'give its base model as model.path and this folder as model.adapter',
    )
  })

  it('a folder without a config', () => {
    expect(loadError()).toMatchObject({ code: 'MODEL_NOT_FOUND', exitCode: 2 })
  })

  it.each(['{', '[]', 'null', '"text"'])('a config.json that is %s', (text) => {
    writeFileSync(inFolder('config.json'), text)
    expect(loadError()).toMatchObject({ code: 'BAD_MODEL_CONFIG', exitCode: 7 })
  })

  it('tensors that are missing or unexpected, by name', () => {
    saveTiny((tensors) => {
      tensors.delete('model.norm.weight')
      tensors.set('model.layers.0.self_attn.q_proj.bias', ones([16]))
    })
    const error = loadError()
    expect(error).toMatchObject({ code: 'KEYS_DIFFER', exitCode: 2 })
    expect(error.message).toContain('missing model.norm.weight')
    expect(error.message).toContain('unexpected model.layers.0.self_attn.q_proj.bias')
  })

  it('a head of its own in a model whose config does not tie it, when it is missing', () => {
    saveTiny(undefined, true)
    editConfig({ tie_word_embeddings: false })
    expect(loadError().message).toContain('missing lm_head.weight')
  })

  it('a tensor of another shape, by name', () => {
    saveTiny((tensors) => tensors.set('model.layers.1.mlp.up_proj.weight', ones([16, 24])))
    const error = loadError()
    expect(error).toMatchObject({ code: 'SHAPES_DIFFER', exitCode: 2 })
    expect(error.message).toContain(
      'model.layers.1.mlp.up_proj.weight is [16, 24], config.json says [24, 16]',
    )
  })

  it.each([
    { num_hidden_layers: 16_777_216 },
    { vocab_size: 16_777_216, hidden_size: 16_777_216, num_attention_heads: 4 },
    { intermediate_size: 16_777_216, hidden_size: 1_048_576 },
    { head_dim: 16_777_216, num_attention_heads: 1024, num_key_value_heads: 1 },
  ])('sizes that the weights cannot have, without making room for them: %o', (change) => {
    saveTiny()
    editConfig(change)
    const before = process.memoryUsage().rss
    expect(loadError()).toMatchObject({ code: 'SHAPES_DIFFER', exitCode: 2 })
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20)
  })

  it('no context length: the rotary tables follow the batches', () => {
    saveTiny()
    editConfig({ max_position_embeddings: 16_777_216, head_dim: 4 })
    const model = loadModelFolder(folder)
    const before = memoryStats().allocatedBytes
    const run = (length: number) =>
      scope(() =>
        embedTokens(
          model,
          toModelInputs(batchOf([[{ tokens: createTokens(1)(length) }]]), model.device),
        ).toFloat32Array(),
      )
    const short = run(5)
    const long = run(19)
    expect(relativeDistance(long.subarray(0, short.length), short)).toBeLessThan(1e-6)
    expect(memoryStats().allocatedBytes - before).toBeLessThan(2 ** 16)
    model.dispose()
  })

  it('a damaged weight file', () => {
    saveTiny()
    const bytes = readFileSync(inFolder('model.safetensors'))
    writeFileSync(inFolder('model.safetensors'), bytes.subarray(0, bytes.length - 100))
    expect(() => loadModelFolder(folder)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^SAFETENSORS_/) }),
    )
  })
})

it('a loaded model is trainable: its parameters can be changed and saved again', () => {
  saveTiny()
  const model = loadModelFolder(folder)
  noGrad(() => scope(() => void copy_(model.model.norm.weight, ones([16]))))
  expect(model.parameters().every((parameter) => parameter.requiresGrad)).toBe(true)
  saveModelFolder(model, folder)
  expect(loadParameters()).toEqual(parameterValues(model))
  model.dispose()
})
