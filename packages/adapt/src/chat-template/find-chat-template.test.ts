import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { findChatTemplate, SHIPPED_TEMPLATES } from './index.js'

const scratch = mkdtempSync(join(tmpdir(), 'adapt-chat-template-'))
afterAll(() => rmSync(scratch, { recursive: true }))

let numFolders = 0
function folderWith(files: Readonly<Record<string, string | Buffer>>): string {
  const folder = join(scratch, `folder-${numFolders++}`)
  mkdirSync(folder)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

const inSettings = (chat_template: unknown) => ({
  'tokenizer_config.json': JSON.stringify({ chat_template }),
})
const find = (tokenizerFolder: string, configured?: string) =>
  findChatTemplate({ baseDir: tokenizerFolder, tokenizerFolder, ...(configured && { configured }) })

function errorOf(run: () => unknown): AdaptError {
  try {
    run()
  } catch (error) {
    if (error instanceof AdaptError) return error
    throw error
  }
  throw new Error('expected an error')
}

describe('the chat template of a run', () => {
  it('is that of the config before chat_template.jinja before tokenizer_config.json', () => {
    const folder = folderWith({ ...inSettings('settings'), 'own.jinja': 'own' })
    expect(find(folder).source).toBe('settings')
    expect(find(folder).where).toBe(`${join(folder, 'tokenizer_config.json')} (chat_template)`)
    writeFileSync(join(folder, 'chat_template.jinja'), 'file')
    expect(find(folder)).toEqual({ source: 'file', where: join(folder, 'chat_template.jinja') })
    expect(find(folder, 'own.jinja')).toEqual({ source: 'own', where: join(folder, 'own.jinja') })
    expect(find(folder, '{{ messages }}')).toEqual({ source: '{{ messages }}', where: 'data.chat_template' })
    expect(find(folder, '{% if x %}{% endif %}').where).toBe('data.chat_template')
  })

  it('can be each shipped one, by its name', () => {
    for (const name of SHIPPED_TEMPLATES) {
      const { source, where } = find('/nowhere', name)
      expect(source).toContain('message.content')
      expect(where).toBe(`the chat template ${name}`)
    }
  })

  it('is the one named default where tokenizer_config.json has several', () => {
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ]
    expect(find(folderWith(inSettings(several))).source).toBe('plain')
    expect(find(folderWith(inSettings(several))).withTools?.source).toBe('tools')
    expect(find(folderWith(inSettings({ default: 'plain', tool_use: 'tools' })))).toMatchObject({
      source: 'plain',
      withTools: { source: 'tools' },
    })
    const others = [
      { name: 'rag', template: 'x' },
      { name: 'chat', template: 'y' },
    ]
    const error = errorOf(() => find(folderWith(inSettings(others))))
    expect(error.code).toBe('BAD_CHAT_TEMPLATE')
    expect(error.message).toContain('received rag, chat; set data.chat_template to one of them')
    expect(find(folderWith(inSettings(others)), 'rag').source).toBe('x')
  })

  it('is for conversations with tools alone where the only one is named tool_use', () => {
    const { source, withTools } = find(folderWith(inSettings([{ name: 'tool_use', template: 'tools' }])))
    expect(withTools?.source).toBe('tools')
    expect(source).toContain('raise_exception')
  })

  it('may have others beside it in additional_chat_templates, and then no list in tokenizer_config.json counts', () => {
    const list = [
      { name: 'default', template: 'listed' },
      { name: 'tool_use', template: 'listed tools' },
    ]
    const folder = folderWith({ ...inSettings(list), 'chat_template.jinja': 'file' })
    expect(find(folder)).toEqual({ source: 'file', where: join(folder, 'chat_template.jinja') })
    mkdirSync(join(folder, 'additional_chat_templates'))
    const file = join(folder, 'additional_chat_templates', 'tool_use.jinja')
    writeFileSync(file, 'tools')
    writeFileSync(join(folder, 'additional_chat_templates', 'notes.txt'), 'no template')
    expect(find(folder).withTools).toEqual({ source: 'tools', where: file })
    rmSync(join(folder, 'chat_template.jinja'))
    expect(find(folder).source).toContain('raise_exception')
  })

  it('is missed with the places and the way out', () => {
    for (const files of [{}, inSettings(undefined), inSettings(null)]) {
      const error = errorOf(() => find(folderWith(files)))
      expect(error.code).toBe('CHAT_TEMPLATE_MISSING')
      expect(error.message).toMatch(
        /chat_template\.jinja.*tokenizer_config\.json; set data\.chat_template to/,
      )
    }
  })

  it('is refused with the names when neither a name nor a file', () => {
    const error = errorOf(() => find(folderWith({}), 'chat-ml'))
    expect(error.code).toBe('FILE_NOT_FOUND')
    expect(error.message).toMatch(
      /expected one of chatml, .*received "chat-ml", and there is no file .*chat-ml/,
    )
  })

  it.each([
    ['is too large', { 'chat_template.jinja': ' '.repeat(256 * 1024 + 1) }, 'at most 262144 bytes'],
    ['is not UTF-8', { 'chat_template.jinja': Buffer.from([0xff, 0xfe, 0x7b]) }, 'expected UTF-8'],
    ['is too large in JSON', inSettings('ü'.repeat(128 * 1024 + 1)), 'at most 262144 bytes'],
    ['is a number', inSettings(3), 'expected text or a list'],
    ['lists null', inSettings([null]), 'list of {name, template}'],
    ['stands in a list', { 'tokenizer_config.json': '[]' }, 'expected a JSON object'],
    ['stands in broken JSON', { 'tokenizer_config.json': '{"chat' }, 'expected JSON'],
    ['is nested', { 'tokenizer_config.json': `${'['.repeat(90_000)}` }, 'levels of nesting'],
  ])('is refused when it %s', (_what, files, message) => {
    const error = errorOf(() => find(folderWith(files as Record<string, string>)))
    expect(error.code).toBe('BAD_CHAT_TEMPLATE')
    expect(error.message).toContain(message)
    expect(error.exitCode).toBe(7)
  })

  it('is refused when it is a folder or a path that no file can have', () => {
    const folder = folderWith({})
    mkdirSync(join(folder, 'sub'))
    expect(errorOf(() => find(folder, 'sub')).code).toBe('BAD_CHAT_TEMPLATE')
    expect(errorOf(() => find(folder, 'a\0b')).code).toBe('FILE_UNREADABLE')
  })
})
