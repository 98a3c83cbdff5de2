import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdaptError } from '../errors.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { requireNoInput } from './config-inputs.js'
import { mergeAdapter } from './merge-adapter.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const SHORT = ['training.max_steps=2', 'evaluation={}']
const inRun = (...parts: string[]) => path.join(workshop.runFolder('first'), ...parts)
beforeAll(async () => {
  await workshop.train('first', ['training.max_steps=2'])
  cpSync(inRun('model'), workshop.file('base'), { recursive: true })
})

/** Every file below a folder with its content, links as what they lead to. */
const contents = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => [file, readFileSync(file, 'base64')])
    .sort()

describe('a run folder that holds what the run reads', () => {
  const cases: readonly [string, () => readonly string[], string][] = [
    ['the model of the run before', () => [`model={ path: "${inRun('model')}" }`], 'model.path'],
    ['its checkpoint as the model', () => [`model={ path: "${inRun('checkpoints/step-2')}" }`], 'model.path'],
    [
      'an adapter',
      () => [`model={ path: "${workshop.file('base')}", adapter: "${inRun('model')}" }`],
      'model.adapter',
    ],
    [
      'the reference of a method',
      () => [`method={ preset: rho-1, signal: { reference: "${inRun('model')}" } }`],
      'method.signal.reference',
    ],
    ['the tokenizer', () => [`tokenizer=${inRun('model')}`], 'tokenizer'],
    [
      'the checkpoint to begin with, through a link',
      () => [`training.resume_from_checkpoint=${linkTo('step', inRun('checkpoints/step-2'))}`],
      'training.resume_from_checkpoint',
    ],
    ['data', () => [`data.train=[${put(inRun('ledger/mine.jsonl'))}]`], 'data.train'],
    ['data of a pattern', () => [`data.train=["${inRun('**/mine.jsonl')}"]`], 'data.train'],
    ['evaluation text', () => [`evaluation={ sets: [${put(inRun('eval/held.jsonl'))}] }`], 'evaluation.sets'],
    ['anchors', () => [`anchors=[${put(inRun('anchors.jsonl'))}]`], 'anchors'],
    ['a chat template', () => [`data.chat_template=${put(inRun('chat.jinja'))}`], 'data.chat_template'],
    ['the token cache', () => [`data.cache_dir=${inRun('cache')}`], 'data.cache_dir'],
    ['all of itself', () => [`data.cache_dir=${inRun()}`], 'data.cache_dir'],
    [
      'a link that the tokenizer leads over',
      () => [`tokenizer=${linkTo('outer', linkTo(inRun('eval/inner'), workshop.file('tokenizer')))}`],
      'tokenizer',
    ],
    [
      'a file that a folder of links leads to',
      () => {
        mkdirSync(workshop.file('linked'), { recursive: true })
        for (const name of readdirSync(inRun('model'))) linkTo(`linked/${name}`, inRun('model', name))
        return [`model={ path: "${workshop.file('linked')}" }`]
      },
      'model.path',
    ],
  ]

  it.each(cases)('is refused when it holds %s, and nothing is removed', async (_, set, key) => {
    const assignments = [...SHORT, ...set()]
    const before = contents(inRun())
    const error = await workshop.failure('first', assignments, { overwrite: true })
    expect(error).toMatchObject({ code: 'INPUT_IN_OUTPUT', exitCode: 2 })
    expect(error.message).toContain(` ${key} (`)
    expect(error.message.split('\n')).toHaveLength(1)
    expect(contents(inRun())).toEqual(before)
  })

  it('is refused under another name that a link gives it', async () => {
    const alias = path.basename(linkTo(path.join(path.dirname(inRun()), 'alias'), inRun()))
    const error = await workshop.failure(alias, [...SHORT, `model={ path: "${inRun('model')}" }`], {
      overwrite: true,
    })
    expect(error.code).toBe('INPUT_IN_OUTPUT')
  })

  it('may lie within a folder that the run reads', async () => {
    cpSync(workshop.file('base'), workshop.file('runs/whole'), { recursive: true })
    // A link to the newest run, as people keep it beside their files, is no file of the model.
    linkTo('runs/whole/latest', workshop.file('runs/whole/tuned'))
    await workshop.train('whole/tuned', [...SHORT, `model={ path: "${workshop.file('runs/whole')}" }`])
    expect(existsSync(workshop.file('runs/whole/model.safetensors'))).toBe(true)
  })
})

describe('what a command writes', () => {
  it('is never one of its inputs, whatever links lead there', () => {
    const file = put(workshop.file('study.yaml'))
    const link = linkTo('result.json', file)
    const error = thrownBy(() => requireNoInput('--json', link, [{ key: 'the study', path: file }]))
    expect(error).toMatchObject({ code: 'INPUT_IN_OUTPUT', exitCode: 2 })
    expect(error.message).toContain('--json')
    const folder = [{ key: 'tokenizer', path: workshop.file('tokenizer') }]
    expect(() => requireNoInput('--csv', workshop.file('tokenizer/tokenizer.json'), folder)).toThrow(
      'tokenizer',
    )
    requireNoInput('--csv', workshop.file('tokenizer/new.csv'), folder)
    requireNoInput('--csv', workshop.file('new.csv'), [{ key: 'the study', path: file }])
  })

  it('is no folder whose files a merged model consists of by links', async () => {
    mkdirSync(workshop.file('by-links'), { recursive: true })
    for (const name of readdirSync(workshop.file('base')))
      linkTo(`by-links/${name}`, path.join(workshop.file('base'), name))
    const lora = `model={ path: "${workshop.file('base')}", lora: { r: 2 } }`
    await workshop.train('adapter', [...SHORT, lora])
    const request = {
      model: workshop.file('by-links'),
      adapter: path.join(workshop.runFolder('adapter'), 'model'),
    }
    await expect(
      mergeAdapter({ ...request, out: workshop.file('base'), overwrite: true }),
    ).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    expect(existsSync(workshop.file('base/model.safetensors'))).toBe(true)
  })
})

function put(file: string): string {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, '{"text": "the data and the model"}\n')
  return file
}

/** Makes a link where none is. */
function linkTo(name: string, target: string): string {
  const link = path.resolve(workshop.root, name)
  if (!existsSync(link)) symlinkSync(target, link)
  return link
}

function thrownBy(action: () => void): AdaptError {
  try {
    action()
  } catch (error) {
    return error as AdaptError
  }
  throw new Error('nothing was thrown')
}
