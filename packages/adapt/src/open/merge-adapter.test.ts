import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addLora, LORA_DEFAULTS, saveAdapterFolder, saveModelFolder } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { mergeAdapter } from './merge-adapter.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-merge-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const base = path.join(root, 'base')
const adapter = path.join(root, 'run', 'adapter')
const out = path.join(root, 'merged')

beforeAll(() => {
  using model = createTinyLlama()
  saveModelFolder(model, base)
  addLora(model, { ...LORA_DEFAULTS, r: 2 }, 0)
  saveAdapterFolder(model, adapter, { baseModel: base })
})

const merge = (to: string) => mergeAdapter({ model: adapter, out: to, overwrite: true })

describe('merging with overwrite', () => {
  it('replaces a model folder', async () => {
    await merge(out)
    await merge(out)
    expect(existsSync(path.join(out, 'model.safetensors'))).toBe(true)
  })

  it.each([
    ['the model underneath', base, 'model.safetensors'],
    ['the adapter', adapter, 'adapter_model.safetensors'],
    ['the folder around the adapter', path.dirname(adapter), 'adapter'],
  ])('refuses to replace %s', async (_, folder, kept) => {
    await expect(merge(folder)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS', exitCode: 2 })
    expect(existsSync(path.join(folder, kept))).toBe(true)
  })

  it('lets the merged model stop where the adapter says', async () => {
    const generation = path.join(adapter, 'generation_config.json')
    writeFileSync(generation, '{"eos_token_id": [5, 9]}')
    await merge(out)
    const written = JSON.parse(readFileSync(path.join(out, 'generation_config.json'), 'utf8'))
    expect(written.eos_token_id).toEqual([5, 9])
    rmSync(generation)
  })

  it('lets it stop where the chat template of an adapter ends an answer', async () => {
    const template =
      "{% for m in messages %}{{ m.role }}:{{ m.content }}<end>{% endfor %}{{ 'assistant:' if add_generation_prompt }}"
    const config = { eos_token: '</s>', chat_template: template }
    writeTinyTokenizer(adapter, { specials: ['</s>', '<end>'], config })
    await merge(out)
    const written = JSON.parse(readFileSync(path.join(out, 'generation_config.json'), 'utf8'))
    expect(written.eos_token_id).toContain(305)
  })

  it('refuses to remove a folder with files that are no model', async () => {
    writeFileSync(path.join(out, 'notes.txt'), 'kept')
    await expect(merge(out)).rejects.toThrow(/holds files that are no model \(notes\.txt\)/)
    expect(existsSync(path.join(out, 'notes.txt'))).toBe(true)
  })
})
