import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import type { ChatContent, DocumentContent } from './document.js'
import { readDocuments } from './read-documents.js'
import { resolveSources } from './resolve-sources.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-chat-records-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function contentOf(record: unknown, textField?: string): Promise<DocumentContent> {
  writeFileSync(path.join(folder, 'a.jsonl'), `${JSON.stringify(record)}\n`)
  const source = { path: 'a.jsonl', ...(textField === undefined ? {} : { textField }) }
  for await (const { content } of readDocuments(await resolveSources([source], folder))) return content
  throw new Error('no document')
}

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const system = (content: string) => ({ role: 'system', content })

describe('records of conversations', () => {
  it('hold messages with roles, whose other keys are kept', async () => {
    const call = [{ type: 'function', function: { name: 'f', arguments: {} } }]
    const messages = [
      system('s'),
      { ...user('hi'), name: 'ann' },
      { role: 'assistant', content: null, tool_calls: call },
      { role: 'tool', content: '4' },
      assistant('four'),
    ]
    const tools = [{ type: 'function', function: { name: 'f' } }]
    expect(await contentOf({ messages, tools, other: 1 })).toEqual({ kind: 'chat', messages, tools })
  })

  it('keep null where the record has null, and nothing where it has nothing', async () => {
    const call = [{ type: 'function', function: { name: 'f', arguments: {} } }]
    const messages = [
      { ...user('hi'), name: null, tool_calls: null },
      { role: 'assistant', content: null, reasoning_content: 'hm', tool_calls: call },
      { role: 'assistant', tool_calls: call },
      { role: 'assistant', reasoning_content: 'hm' },
      { ...assistant('yo'), reasoning_content: null, tool_calls: [] },
    ]
    expect(await contentOf({ messages, tools: [] })).toStrictEqual({ kind: 'chat', messages, tools: [] })
    const conversations = [{ from: 'gpt', value: null, function_call: call[0]!.function }]
    expect(await contentOf({ conversations })).toStrictEqual({
      kind: 'chat',
      messages: [{ role: 'assistant', content: null, function_call: call[0]!.function }],
    })
  })

  it('may have the keys of the other form beside their own, as tables of several collections do', async () => {
    const conversations = [
      { from: 'human', value: 'hi', role: null, content: null },
      { from: 'gpt', value: 'yo', content: null },
      { role: 'user', content: 'q', from: null, value: null },
      { from: 'gpt', value: 'a', content: 'another' },
    ]
    const { messages } = (await contentOf({ conversations })) as { readonly messages: readonly unknown[] }
    expect(messages).toMatchObject([user('hi'), assistant('yo'), user('q'), assistant('a')])
  })

  it('join text parts, and take tools as JSON text', async () => {
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ]
    const record = { messages: [{ role: 'user', content: parts }, assistant('c')], tools: '[{"name":"f"}]' }
    expect(await contentOf(record)).toEqual({
      kind: 'chat',
      messages: [user('ab'), assistant('c')],
      tools: [{ name: 'f' }],
    })
  })

  it('of ShareGPT have their roles renamed', async () => {
    const conversations = [
      { from: 'system', value: 's' },
      { from: 'human', value: 'q' },
      { from: 'gpt', value: 'a', weight: 1 },
      { from: 'observation', value: 'o' },
      { from: 'assistant', value: 'b' },
    ]
    expect(await contentOf({ conversations })).toEqual({
      kind: 'chat',
      messages: [
        system('s'),
        user('q'),
        { ...assistant('a'), weight: 1 },
        { role: 'tool', content: 'o' },
        assistant('b'),
      ],
    })
    expect(await contentOf({ conversations: [user('q'), assistant('a')] })).toEqual({
      kind: 'chat',
      messages: [user('q'), assistant('a')],
    })
  })

  it('of a prompt and a completion in messages train the completion only', async () => {
    const prompt = [user('q'), assistant('a'), user('r')]
    expect(await contentOf({ prompt, completion: [assistant('b')] })).toEqual({
      kind: 'chat',
      messages: [...prompt, assistant('b')],
      numPromptMessages: 3,
    })
  })

  it('of Alpaca become messages, earlier turns first', async () => {
    expect(await contentOf({ instruction: 'i', input: '', output: 'o', text: 'rendered' })).toEqual({
      kind: 'chat',
      messages: [user('i'), assistant('o')],
    })
    const record = { instruction: 'i', input: 'x', output: 'o', system: 's', history: [['q', 'a']] }
    expect(await contentOf(record)).toEqual({
      kind: 'chat',
      messages: [system('s'), user('q'), assistant('a'), user('i\n\nx'), assistant('o')],
    })
  })

  it('are recognised in a fixed order when keys of several forms are there', async () => {
    const messages = [user('q'), assistant('a')]
    const all = {
      messages,
      conversations: [user('no')],
      prompt: 'p',
      completion: 'c',
      instruction: 'i',
      output: 'o',
      text: 't',
    }
    const kinds = async (record: unknown, field?: string) => (await contentOf(record, field)).kind
    expect(await contentOf(all)).toEqual({ kind: 'chat', messages })
    expect(await kinds({ ...all, messages: null, conversations: null })).toBe('completion')
    expect(await kinds({ ...all, messages: undefined, conversations: undefined, prompt: undefined })).toBe(
      'chat',
    )
    expect(await contentOf(all, 'text')).toEqual({ kind: 'text', text: 't' })
  })

  it('take null for a key that is not there, as in tables of several forms', async () => {
    const nulls = { messages: null, prompt: null, completion: null, instruction: null, output: null }
    expect(await contentOf({ ...nulls, text: 't' })).toEqual({ kind: 'text', text: 't' })
    expect(await contentOf({ ...nulls, text: null, instruction: 'i', output: 'o', system: null })).toEqual({
      kind: 'chat',
      messages: [user('i'), assistant('o')],
    })
  })

  it('begin with the system text that stands beside the messages', async () => {
    const conversations = [
      { from: 'human', value: 'q' },
      { from: 'gpt', value: 'a', weight: 0 },
    ]
    const messages = [system('s'), user('q'), { ...assistant('a'), weight: 0 }]
    const expected = { kind: 'chat', messages, untrained: [2] }
    expect(await contentOf({ conversations, system: 's' })).toEqual(expected)
    expect(await contentOf({ messages: messages.slice(1), system: 's' })).toEqual(expected)
    expect(await contentOf({ messages, system: 's' })).toEqual(expected)
    expect(await contentOf({ messages: messages.slice(1), system: '' })).toMatchObject({ untrained: [1] })
    expect(await contentOf({ system: 's', prompt: [user('q')], completion: [assistant('a')] })).toEqual({
      kind: 'chat',
      messages: [system('s'), user('q'), assistant('a')],
      numPromptMessages: 2,
    })
  })

  it('hold tools under the older name of OpenAI, variables of the template, and messages as JSON text', async () => {
    const messages = [user('q'), assistant('a')]
    const variables = { enable_thinking: false, 'max tokens': { 10: 1 } }
    const record = {
      messages: JSON.stringify(messages),
      functions: [{ name: 'f' }],
      chat_template_kwargs: variables,
    }
    expect(await contentOf(record)).toEqual({
      kind: 'chat',
      messages,
      tools: [{ type: 'function', function: { name: 'f' } }],
      variables: { enable_thinking: false, 'max tokens': new Map([['10', 1]]) },
    })
  })

  it('take calls of tools as JSON text, as tables hold them', async () => {
    const calls = [{ type: 'function', function: { name: 'f', arguments: { 10: 1 } } }]
    const answer = { role: 'assistant', content: null, tool_calls: JSON.stringify(calls) }
    const messages = [user('q'), answer, { ...assistant('a'), tool_calls: '' }]
    const read = (await contentOf({ messages })) as ChatContent
    expect(read.messages[1]!.tool_calls).toMatchObject([{ function: { arguments: new Map([['10', 1]]) } }])
    expect(read.messages[2]!.tool_calls).toBeNull()
    const error = await contentOf({ messages: [{ ...answer, tool_calls: '{}' }] }).catch((e: unknown) => e)
    expect((error as AdaptError).message).toContain('"messages[0]".tool_calls: expected a list')
  })

  it('of ShareGPT hold calls of functions as JSON', async () => {
    const call = { name: 'f', arguments: { a: 1 } }
    const conversations = [
      { from: 'human', value: 'q' },
      { from: 'function_call', value: JSON.stringify(call), tool_calls: null },
      { from: 'observation', value: '4' },
      { from: 'function_call', value: JSON.stringify([call, call]), weight: 0 },
      { from: 'gpt', value: 'a' },
    ]
    const one = { type: 'function', function: call }
    expect(await contentOf({ conversations, tools: '[{"name":"f"}]' })).toEqual({
      kind: 'chat',
      messages: [
        user('q'),
        { ...assistant(''), tool_calls: [one] },
        { role: 'tool', content: '4' },
        { ...assistant(''), tool_calls: [one, one], weight: 0 },
        assistant('a'),
      ],
      untrained: [3],
      tools: [{ name: 'f' }],
    })
  })

  it.each([
    [{ weight: 0 }, [1]],
    [{ weight: 1 }, undefined],
    [{ weight: null }, undefined],
    [{ train: false }, [1]],
    [{ training: true }, undefined],
    [{ loss_mask: 0 }, [1]],
    [{ loss: false, weight: 0.0 }, [1]],
    [{ train_detail: [] }, undefined],
  ])('leave out an answer that says so: %j', async (keys, untrained) => {
    const messages = [
      { ...user('q'), weight: 0 },
      { ...assistant('a'), ...keys },
    ]
    const all = [0, ...(untrained ?? [])]
    expect(await contentOf({ messages })).toEqual({ kind: 'chat', messages, untrained: all })
  })

  it('keep integers, the kind of floats and the order of keys for the template', async () => {
    const written =
      '{"messages":[{"role":"user","content":"q"},{"content":"a","role":"assistant","x":{"b":1,"10":1.0,"2":-0.0,"a":[1e5,9007199254740993,-0,0.5,1e999]}}],"weight":1.0}'
    writeFileSync(path.join(folder, 'a.jsonl'), `${written}\n`)
    for await (const { content, weight } of readDocuments(
      await resolveSources([{ path: 'a.jsonl' }], folder),
    )) {
      const [, answer] = (structuredClone(content) as ChatContent).messages
      expect(weight).toBe(1)
      expect(Object.keys(answer!)).toEqual(['content', 'role', 'x'])
      const list = [Object(1e5), 9007199254740993n, 0, 0.5, Object(Number.POSITIVE_INFINITY)]
      expect([...(answer!.x as Map<string, unknown>)]).toEqual([
        ['b', 1],
        ['10', Object(1)],
        ['2', Object(-0)],
        ['a', list],
      ])
    }
  })

  it('name keys that look like a control of what is trained but are not heeded', async () => {
    const ignored = async (record: unknown) => {
      writeFileSync(path.join(folder, 'a.jsonl'), `${JSON.stringify(record)}\n`)
      const files = await resolveSources([{ path: 'a.jsonl' }], folder)
      for await (const { ignoredControls } of readDocuments(files)) return ignoredControls
    }
    const messages = [
      { ...user('q'), mask: 1 },
      { ...assistant('a'), weight: 1, lossScale: 2, name: 'x', train_on: null },
    ]
    expect(await ignored({ messages, label: true, weight: 2, pretrained: 1 })).toEqual([
      'label',
      'messages[].mask',
      'messages[].lossScale',
    ])
    expect(await ignored({ text: 't', loss_mask: [1, 0] })).toEqual(['loss_mask'])
    expect(await ignored({ text: 't', label: null, labelled_by: 'x' })).toBeUndefined()
  })

  const bad: [string, unknown, string, string][] = [
    ...[{ weight: 0.5 }, { weight: '1' }, { train: 'yes' }, { loss: 2.31 }].map(
      (keys): [string, unknown, string, string] => [
        `an answer of ${JSON.stringify(keys)}`,
        { messages: [user('q'), { ...assistant('a'), ...keys }] },
        'BAD_MESSAGES',
        `"messages[1]".${Object.keys(keys)[0]}: expected 1 or true`,
      ],
    ),
    [
      'an answer that is on and off',
      { messages: [user('q'), { ...assistant('a'), weight: 1, train: false }] },
      'BAD_MESSAGES',
      '"weight" and "train" to agree',
    ],
    [
      'a question that is on',
      { messages: [{ ...user('q'), train: true }, assistant('a')] },
      'BAD_MESSAGES',
      '"messages[0]".train: expected it on for messages of the assistant only',
    ],
    [
      'parts of an answer',
      { messages: [user('q'), { ...assistant('a'), train_detail: [{ begin_offset: 0 }] }] },
      'BAD_MESSAGES',
      '"messages[1]".train_detail',
    ],
    [
      'two system texts',
      { messages: [system('s'), user('q'), assistant('a')], system: 't' },
      'BAD_FIELD',
      '"system": expected the text',
    ],
    [
      'a system text beside plain text',
      { prompt: 'q', completion: 'a', system: 's' },
      'BAD_FIELD',
      '"system"',
    ],
    [
      'earlier turns beside plain text',
      { prompt: 'q', completion: 'a', history: [['q', 'a']] },
      'BAD_FIELD',
      '"history"',
    ],
    [
      'a call that is no JSON',
      { conversations: [{ from: 'function_call', value: 'f()' }] },
      'BAD_FIELD',
      '"conversations[0]".value: expected JSON',
    ],
    [
      'a call without a name',
      { conversations: [{ from: 'function_call', value: '{"arguments":{}}' }] },
      'BAD_MESSAGES',
      'calls {name, arguments}',
    ],
    ['no messages', { messages: [] }, 'BAD_MESSAGES', '"messages": expected at least one message'],
    ['no list', { messages: 'x' }, 'BAD_MESSAGES', 'expected a list of messages, received "x"'],
    ['an unknown role', { messages: [{ role: 'bot', content: 'x' }] }, 'BAD_MESSAGES', 'received "bot"'],
    ['an unknown speaker', { conversations: [{ from: 'he', value: 'x' }] }, 'BAD_MESSAGES', '[0]".from'],
    ['no role', { messages: [{ content: 'x' }] }, 'BAD_MESSAGES', 'its keys are "content"'],
    ['no assistant', { messages: [user('x')] }, 'BAD_MESSAGES', 'received only the roles "user"'],
    [
      'no assistant in the completion',
      { prompt: [user('q'), assistant('a')], completion: [user('x')] },
      'BAD_MESSAGES',
      '"completion": expected a message of the assistant',
    ],
    ['a message that is text', { messages: ['x'] }, 'BAD_MESSAGES', 'received "x"'],
    ['content that is a number', { messages: [{ role: 'user', content: 3 }] }, 'BAD_MESSAGES', 'received 3'],
    ['content that is null', { messages: [{ role: 'user', content: null }] }, 'BAD_MESSAGES', 'null'],
    [
      'a picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'BAD_MESSAGES',
      'received type "image_url"',
    ],
    ['text beside messages', { prompt: 'q', completion: [assistant('a')] }, 'BAD_FIELD', '"prompt"'],
    ['turns that are no pairs', { instruction: 'i', output: 'o', history: [['q']] }, 'BAD_FIELD', 'pairs'],
    ['tools that are no list', { messages: [user('q'), assistant('a')], tools: '{' }, 'BAD_FIELD', '"tools"'],
    [
      'half a surrogate pair in a message',
      { messages: [user('\ud83d'), assistant('a')] },
      'LONE_SURROGATE',
      'surrogate',
    ],
  ]
  it.each(bad)('with %s are refused, saying where', async (_, record, code, said) => {
    const error = await contentOf(record).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(AdaptError)
    const { code: actual, message, exitCode } = error as AdaptError
    expect([actual, exitCode]).toEqual([code, 3])
    expect(message).toContain('a.jsonl:1 (byte 0): ')
    expect(message).toContain(said)
  })
})
