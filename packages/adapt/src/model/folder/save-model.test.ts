import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStats, resetPeakMemoryStats, SafetensorsFile } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { CausalLM } from '../decoder/causal-lm.js'
import { createTinyLlama, TINY_CONFIG } from '../tiny-llama.test.fixture.js'
import { loadModelFolder } from './load-model.js'
import { editJson, loadValues, ModelShelf, readIndex, readJson } from './model-folder.test.fixture.js'
import { saveModelFolder } from './save-model.js'
import { parseShardSize, planShards } from './shard-plan.js'

const shelf = new ModelShelf()
afterAll(() => shelf.remove())

/** Loads a folder and saves it to another. */
function resave(
  from: string,
  options: Parameters<typeof saveModelFolder>[2] = {},
  to = shelf.folder(),
): string {
  const model = loadModelFolder(from, { dtype: 'auto' })
  saveModelFolder(model, to, options)
  model.dispose()
  return to
}

describe('a model larger than a shard', () => {
  it('is written in numbered files with an index, none larger than asked for', () => {
    const { folder, shards } = shelf.saveShards()
    const { metadata, weight_map } = readIndex(folder)
    const digits = (value: number) => `${100_000 + value}`.slice(1)
    expect(shards).toEqual(
      shards.map((_, i) => `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`),
    )
    expect(new Set(Object.values(weight_map))).toEqual(new Set(shards))
    expect(Object.keys(weight_map)).toEqual(Object.keys(weight_map).sort())
    let bytes = 0
    for (const name of shards) {
      using file = new SafetensorsFile(join(folder, name))
      expect(file.dataBytes <= 3000 || file.names.length === 1).toBe(true)
      expect(file.metadata).toEqual(new Map([['format', 'pt']]))
      bytes += file.dataBytes
    }
    const model = createTinyLlama()
    expect(metadata).toEqual({ total_parameters: model.numParameters, total_size: bytes })
    model.dispose()
  })

  it('replaces what an earlier save left, in either direction', () => {
    const { folder } = shelf.saveShards()
    resave(folder, { dtype: 'bfloat16' }, folder)
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors'])
    resave(folder, { maxShardSize: '1KB' }, folder)
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(false)
    loadValues(folder)
  })

  it('is converted piece by piece, never held twice', () => {
    const model = new CausalLM({ ...TINY_CONFIG, vocabSize: 1 << 19, hiddenSize: 16 })
    const folder = shelf.folder()
    resetPeakMemoryStats()
    const before = memoryStats().allocatedBytes
    saveModelFolder(model, folder, { dtype: 'bfloat16', maxShardSize: '20MB' })
    expect(memoryStats().peakBytes - before).toBeLessThanOrEqual(8 << 20)
    expect(statSync(join(folder, 'model-00001-of-00002.safetensors')).size).toBeGreaterThan(16e6)
    model.dispose()
  })

  it.each([
    ['5GB', 5e9],
    ['200MB', 2e8],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['50kb', 50_000],
    [1234, 1234],
    ['1234', 1234],
  ])('takes a size of %s', (size, bytes) => {
    expect(parseShardSize(size)).toBe(bytes)
  })

  it.each(['', '5XB', '-1', '0', 'GB', 0.5, Number.NaN])('refuses a size of %j', (size) => {
    expect(() => parseShardSize(size)).toThrow(
      expect.objectContaining({ code: 'BAD_SHARD_SIZE', exitCode: 2 }),
    )
  })

  it('keeps the order, and gives a tensor that is too large a file of its own', () => {
    const sizes = new Map([
      ['a', 2],
      ['b', 9],
      ['c', 1],
      ['d', 3],
      ['e', 2],
    ])
    const { files, totalBytes } = planShards(sizes, 4)
    expect([...files.values()]).toEqual([['a'], ['b'], ['c', 'd'], ['e']])
    expect(totalBytes).toBe(17)
    expect([...planShards(sizes, 17).files.keys()]).toEqual(['model.safetensors'])
  })
})

describe('a model that came from a folder', () => {
  it('keeps the keys of its config but for those that changed', () => {
    const folder = shelf.save()
    editJson(folder, 'config.json', {
      transformers_version: '5.0',
      dtype: 'float32',
      eos_token_id: [1, 2],
      x: { y: 1 },
    })
    const before = readJson(folder, 'config.json')
    const after = readJson(resave(folder, { dtype: 'bfloat16', eosId: 9 }), 'config.json')
    expect(after).toEqual({ ...before, dtype: 'bfloat16', torch_dtype: 'bfloat16' })
    expect(Object.keys(after)).toEqual(Object.keys(before))
  })

  it('spells the dtype as its config did', () => {
    const folder = shelf.save()
    const { torch_dtype, ...rest } = readJson(folder, 'config.json')
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...rest, dtype: torch_dtype }))
    const after = readJson(resave(folder), 'config.json')
    expect([after.dtype, after.torch_dtype]).toEqual(['float32', undefined])
  })

  it('takes its generation config and tokenizer along, or the tokenizer that is given', () => {
    const folder = shelf.save()
    const files = [
      'tokenizer.json',
      'tokenizer_config.json',
      'chat_template.jinja',
      'tokenizer.model',
      'merges.txt',
    ]
    for (const name of files) writeFileSync(join(folder, name), `of the model: ${name}`)
    writeFileSync(join(folder, 'generation_config.json'), '{"eos_token_id":[1,2]}')
    writeFileSync(join(folder, 'pytorch_model.bin'), 'x')
    const own = resave(folder)
    expect(readdirSync(own).sort()).toEqual(
      [...files, 'config.json', 'generation_config.json', 'model.safetensors'].sort(),
    )
    expect(readJson(own, 'generation_config.json')).toEqual({ eos_token_id: [1, 2] })
    const tokenizer = join(folder, 'tokenizer')
    mkdirSync(tokenizer)
    writeFileSync(join(tokenizer, 'tokenizer.json'), 'another')
    writeFileSync(join(tokenizer, 'generation_config.json'), '{"other":1}')
    const mixed = resave(folder, { tokenizerFolder: tokenizer })
    expect(readdirSync(mixed).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
    ])
    expect(readFileSync(join(mixed, 'tokenizer.json'), 'utf8')).toBe('another')
    expect(readJson(mixed, 'generation_config.json')).toEqual({ eos_token_id: [1, 2] })
  })

  it('is written in the dtype of its parameters', () => {
    const folder = shelf.save({ dtype: 'bfloat16' })
    const again = resave(folder)
    expect(readJson(again, 'config.json').torch_dtype).toBe('bfloat16')
    expect(readFileSync(join(again, 'model.safetensors'))).toEqual(
      readFileSync(join(folder, 'model.safetensors')),
    )
  })
})
