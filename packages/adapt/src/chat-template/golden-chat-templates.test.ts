import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../dataset/index.js'
import { DataError } from '../errors.js'
import {
  type ChatTemplate,
  compileChatTemplate,
  findChatTemplate,
  renderChat,
  renderPrompt,
  SHIPPED_TEMPLATES,
  type Span,
  type SpecialTokens,
} from './index.js'

interface Rendering {
  readonly text?: string
  readonly refused?: string
  readonly blocks?: readonly Span[]
}

interface Golden {
  readonly tokens: Readonly<Record<string, SpecialTokens>>
  readonly conversations: Readonly<
    Record<string, { readonly messages: readonly ChatMessage[]; readonly tools?: readonly unknown[] }>
  >
  readonly tricky: Readonly<Record<string, string>>
  readonly renderings: readonly (Rendering & {
    readonly template: string
    readonly conversation: string
    readonly tokens: string
    readonly prompt: boolean
  })[]
  readonly different: readonly (Rendering & { readonly about: string; readonly source: string })[]
}

const file = new URL('../../golden/chat-templates/case.json', import.meta.url)
const golden = (JSON.parse(readFileSync(file, 'utf8')) as { readonly values: Golden }).values

function templateOf(name: string): ChatTemplate {
  const tricky = golden.tricky[name]
  if (tricky !== undefined) return compileChatTemplate(tricky, name)
  const { source, where } = findChatTemplate({ configured: name, baseDir: '/', tokenizerFolder: '/' })
  return compileChatTemplate(source, where)
}

function refusalOf(render: () => unknown): string {
  try {
    render()
  } catch (error) {
    if (error instanceof DataError && error.code === 'CHAT_TEMPLATE_REFUSED') return error.message
    throw error
  }
  return 'no error'
}

describe('transformers renders the same text', () => {
  const names = [...new Set(golden.renderings.map(({ template }) => template))]

  it('for every shipped template', () => {
    expect(names.filter((name) => !(name in golden.tricky))).toEqual(SHIPPED_TEMPLATES)
  })

  it.each(names)('with the template %s', (name) => {
    const template = templateOf(name)
    for (const { conversation, tokens, prompt, text, refused } of golden.renderings.filter(
      (entry) => entry.template === name,
    )) {
      const chat = golden.conversations[conversation]!
      const render = () =>
        prompt
          ? renderPrompt(template, chat, golden.tokens[tokens]!)
          : renderChat(template, chat, golden.tokens[tokens]!, { assistantOnly: false }).text
      const about = `${conversation}, tokens ${tokens}, prompt ${prompt}`
      if (refused !== undefined) expect(refusalOf(render), about).toContain(refused)
      else expect(render(), about).toBe(text)
    }
  })
})

describe('blocks {% generation %}', () => {
  const marked = golden.renderings.filter(({ blocks, prompt }) => blocks !== undefined && !prompt)

  it.each([...new Set(marked.map(({ template }) => template))])('are those of transformers in %s', (name) => {
    const template = templateOf(name)
    expect(template.marksGeneration).toBe(true)
    for (const { conversation, tokens, blocks } of marked.filter((entry) => entry.template === name)) {
      const chat = golden.conversations[conversation]!
      const { trained } = renderChat(template, chat, golden.tokens[tokens]!, { assistantOnly: true })
      expect(trained, conversation).toEqual(blocks!.filter(([start, end]) => start < end))
    }
  })

  it('are what the prefixes give, but for the line end that follows', () => {
    const options = { assistantOnly: true }
    for (const [name, chat] of Object.entries(golden.conversations)) {
      if (name === 'other role') continue
      const blocks = renderChat(templateOf('chatml-generation'), chat, {}, options)
      const prefixes = renderChat(templateOf('chatml'), chat, {}, options)
      expect(blocks.text).toBe(prefixes.text)
      expect(
        prefixes.trained.map(([start, end]) => [start, end - 1]),
        name,
      ).toEqual(blocks.trained)
    }
  })
})

describe('what the page on chat templates lists as different from Python', () => {
  it.each(golden.different)('is: $about', ({ source, text }) => {
    const chat = golden.conversations.single!
    let ours: string | undefined
    try {
      ours = renderPrompt(compileChatTemplate(source, 'x'), chat, golden.tokens.own!)
    } catch (error) {
      ours = (error as DataError).code
    }
    expect(text).toBeTypeOf('string')
    expect(ours).not.toBe(text)
  })
})
