import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ResourceError } from '../errors.js'
import { type CausalLM, loadModelFolder, saveTrainedModel } from '../model/index.js'
import { createTinyLlama, parameterValues } from '../model/tiny-llama.test.fixture.js'
import { verifyManifest, writeManifest } from './manifest.js'
import { publishFolder, temporaryName } from './publish-folder.js'
import { publishCheckpointModel, publishModel } from './publish-model.js'

let root = ''
let parent = ''
let model: CausalLM
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-publish-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
beforeEach(() => {
  parent = mkdtempSync(path.join(root, 'case-'))
  model = createTinyLlama()
})
afterEach(() => model.dispose())

const target = () => path.join(parent, 'model')
const load = () => {
  const loaded = loadModelFolder(target())
  const values = parameterValues(loaded)
  loaded.dispose()
  return values
}

describe('publishModel', () => {
  it('writes a whole folder and nothing beside it', () => {
    publishModel(model, target(), { bosId: 0 })
    expect(readdirSync(parent)).toEqual(['model'])
    expect(readdirSync(target()).sort()).toEqual(['config.json', 'model.safetensors'])
    expect(load()).toEqual(parameterValues(model))
  })

  it('replaces an older folder with all that was in it', () => {
    mkdirSync(target())
    writeFileSync(path.join(target(), 'stale.bin'), 'x')
    publishModel(model, target())
    const other = createTinyLlama({}, 99)
    publishModel(other, target())
    expect(readdirSync(parent)).toEqual(['model'])
    expect(existsSync(path.join(target(), 'stale.bin'))).toBe(false)
    expect(load()).toEqual(parameterValues(other))
    other.dispose()
  })

  it('clears what an attempt that was killed left under its own name', () => {
    const leftover = temporaryName(target())
    mkdirSync(leftover)
    writeFileSync(path.join(leftover, 'half'), 'x')
    publishModel(model, target())
    expect(readdirSync(parent)).toEqual(['model'])
    expect(existsSync(path.join(target(), 'half'))).toBe(false)
  })

  it('takes further chat templates along, but none beside a template of the config', () => {
    const tokenizerFolder = path.join(parent, 'tokenizer')
    const further = path.join('additional_chat_templates', 'tool_use.jinja')
    mkdirSync(path.join(tokenizerFolder, 'additional_chat_templates'), { recursive: true })
    writeFileSync(path.join(tokenizerFolder, 'chat_template.jinja'), 'plain')
    writeFileSync(path.join(tokenizerFolder, further), 'tools')
    publishModel(model, target(), { tokenizerFolder })
    expect(readFileSync(path.join(target(), further), 'utf8')).toBe('tools')
    const step = path.join(parent, 'step-1')
    publishFolder(
      step,
      (folder) => saveTrainedModel(model, folder, { tokenizerFolder }),
      (folder) => writeManifest(folder, 1),
    )
    expect(Object.keys(verifyManifest(step).files)).toContain('additional_chat_templates/tool_use.jinja')
    publishCheckpointModel(step, target())
    expect(readFileSync(path.join(target(), further), 'utf8')).toBe('tools')
    writeFileSync(path.join(step, further), 'other')
    expect(() => verifyManifest(step)).toThrow(/tool_use\.jinja: /)
    publishModel(model, target(), { tokenizerFolder, chatTemplate: 'own' })
    expect(existsSync(path.join(target(), further))).toBe(false)
  })

  it('leaves the older folder and no temporary one when the new one cannot be written', () => {
    publishModel(model, target())
    const before = readFileSync(path.join(target(), 'model.safetensors'))
    const other = createTinyLlama({}, 99)
    // A tokenizer "file" that is a folder cannot be copied.
    const tokenizerFolder = path.join(parent, 'tokenizer')
    mkdirSync(path.join(tokenizerFolder, 'tokenizer.json'), { recursive: true })
    expect(() => publishModel(other, target(), { tokenizerFolder })).toThrow(ResourceError)
    expect(readdirSync(parent).sort()).toEqual(['model', 'tokenizer'])
    expect(readFileSync(path.join(target(), 'model.safetensors')).equals(before)).toBe(true)
    other.dispose()
  })

  it('says where it could not write, with exit code 5', () => {
    writeFileSync(path.join(parent, 'file'), 'x')
    const impossible = path.join(parent, 'file', 'model')
    expect(() => publishModel(model, impossible)).toThrow(
      expect.objectContaining({
        code: 'MODEL_WRITE',
        exitCode: 5,
        message: expect.stringContaining(impossible),
      }),
    )
    expect(readdirSync(parent)).toEqual(['file'])
  })

  it('is not stopped by an older folder that a killed attempt had moved aside', () => {
    publishModel(model, target())
    const aside = `${temporaryName(target())}.old`
    mkdirSync(aside)
    writeFileSync(path.join(aside, 'x'), 'x')
    const other = createTinyLlama({}, 99)
    publishModel(other, target())
    expect(readdirSync(parent)).toEqual(['model'])
    expect(load()).toEqual(parameterValues(other))
    other.dispose()
  })
})
