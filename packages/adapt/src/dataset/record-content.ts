import { type ReadMessages, readMessages, readTools, requireAssistant } from './chat-messages.js'
import type { ChatContent, ChatMessage, DocumentContent } from './document.js'
import { printable } from './printable.js'
import { readJsonField } from './read-json.js'
import {
  type Fail,
  fieldOf,
  isObject,
  type JsonRecord,
  keyList,
  optionalStringOf,
  show,
  stringOf,
} from './record-fields.js'

/** Every key by which a record is recognised or read, but for a `text_field`. */
export const RECORD_KEYS = [
  'messages',
  'conversations',
  'prompt',
  'completion',
  'instruction',
  'input',
  'output',
  'system',
  'history',
  'text',
  'tools',
  'functions',
  'chat_template_kwargs',
  'id',
  'source',
  'meta',
  'weight',
]

/**
 * What a record holds, by its keys; the first of these that it has decides:
 * the key of `textField` alone; `messages`; `conversations`; `prompt` and `completion`; `instruction` and `output`; `text`.
 *
 * @throws UNKNOWN_RECORD, BAD_FIELD, BAD_MESSAGES through `fail`.
 */
export function contentOf(record: JsonRecord, textField: string | undefined, fail: Fail): DocumentContent {
  const has = (key: string) => fieldOf(record, key) !== undefined
  if (textField !== undefined) {
    if (!has(textField)) unknown(record, `"${printable(textField)}"`, fail)
    return { kind: 'text', text: stringOf(record, textField, fail) }
  }
  for (const name of ['messages', 'conversations']) {
    if (has(name)) {
      const read = readMessages(listOf(record, name, fail), name, fail)
      requireAssistant(read.messages, name, fail)
      return chat(record, read, 0, fail)
    }
  }
  if (has('prompt') && has('completion')) return completionOf(record, fail)
  if (has('instruction') && has('output')) {
    return chat(record, alpacaMessages(record, stringOf(record, 'output', fail), fail), 0, fail)
  }
  if (has('text')) return { kind: 'text', text: stringOf(record, 'text', fail) }
  const forms =
    '"messages", "conversations", "prompt" and "completion", "instruction" and "output", or "text"'
  return unknown(record, forms, fail)
}

/** What a model is asked by a record. */
export interface RecordPrompt {
  /** The prompt itself where it is text; undefined where it is messages. */
  readonly text: string | undefined
  /** The same as a conversation, to be answered. */
  readonly chat: ChatContent
}

/**
 * What a record asks, by its keys; the first of these that it has decides:
 * the key of `field` alone; `messages`; `conversations`; `prompt`; `instruction`; `text`. Answers beside a prompt are left out.
 *
 * @throws UNKNOWN_RECORD, BAD_FIELD, BAD_MESSAGES through `fail`.
 */
export function promptOf(record: JsonRecord, field: string | undefined, fail: Fail): RecordPrompt {
  const has = (key: string) => fieldOf(record, key) !== undefined
  const name = (field === undefined ? ['messages', 'conversations', 'prompt'] : [field]).find(has)
  if (name !== undefined) {
    const value = listOf(record, name, fail)
    const isText = typeof value === 'string' && !['messages', 'conversations'].includes(name)
    if (isText) return { text: value, chat: chat(record, userTurn(value), 0, fail) }
    const read = readMessages(value, name, fail)
    if (read.messages.at(-1)!.role === 'assistant') {
      fail(
        'BAD_MESSAGES',
        `"${printable(name)}": expected a last message to be answered, received one of the assistant`,
      )
    }
    return { text: undefined, chat: chat(record, read, 0, fail) }
  }
  if (field === undefined && has('instruction')) {
    const { messages } = alpacaMessages(record, '', fail)
    return {
      text: undefined,
      chat: chat(record, { messages: messages.slice(0, -1), untrained: [] }, 0, fail),
    }
  }
  if (field === undefined && has('text')) {
    const text = stringOf(record, 'text', fail)
    return { text, chat: chat(record, userTurn(text), 0, fail) }
  }
  const keys = keyList([...(record instanceof Map ? record.keys() : Object.keys(record))].map(String))
  const accepted =
    field === undefined
      ? '"messages", "conversations", "prompt", "instruction" or "text"'
      : `"${printable(field)}"`
  return fail('UNKNOWN_RECORD', `expected a record with the key ${accepted}, received the keys ${keys}`)
}

const userTurn = (content: string): ReadMessages => ({ messages: [{ role: 'user', content }], untrained: [] })

function unknown(record: JsonRecord, accepted: string, fail: Fail): never {
  const keys = Object.keys(record)
  const nulls = keys.some((key) => fieldOf(record, key) === undefined) ? ', some of them null' : ''
  return fail(
    'UNKNOWN_RECORD',
    `expected a record with the key ${accepted}, received the keys ${keyList(keys)}${nulls}; ` +
      'rename the field or set text_field',
  )
}

/** @param numPromptMessages  Leading messages of the list that are never trained. */
function chat(record: JsonRecord, read: ReadMessages, numPromptMessages: number, fail: Fail): ChatContent {
  const tools = toolsOf(record, fail)
  const variables = variablesOf(record, fail)
  const system = systemOf(record, read.messages, fail)
  const numBefore = system === undefined ? 0 : 1
  const untrained = read.untrained.map((i) => i + numBefore)
  return {
    kind: 'chat',
    messages: system === undefined ? read.messages : [system, ...read.messages],
    ...(numPromptMessages === 0 ? {} : { numPromptMessages: numPromptMessages + numBefore }),
    ...(untrained.length === 0 ? {} : { untrained }),
    ...(tools === undefined ? {} : { tools }),
    ...(variables === undefined ? {} : { variables }),
  }
}

/** A list, or one as JSON text as tables hold it; other values as they are. */
function listOf(record: JsonRecord, name: string, fail: Fail): unknown {
  const value = fieldOf(record, name)
  const isList = typeof value === 'string' && /^\s*\[/.test(value)
  return isList ? readJsonField(value, (code, problem) => fail(code, `"${name}": ${problem}`)) : value
}

/** `tools`, or what OpenAI's files called `functions` before. @throws BAD_FIELD */
function toolsOf(record: JsonRecord, fail: Fail): readonly unknown[] | undefined {
  const tools = readTools(fieldOf(record, 'tools'), 'tools', fail)
  const functions = readTools(fieldOf(record, 'functions'), 'functions', fail)
  if (functions === undefined) return tools
  if (tools !== undefined) fail('BAD_FIELD', '"functions": expected none beside "tools"; keep one of the two')
  return functions.map((described) => ({ type: 'function', function: described }))
}

/** Names that a template is given otherwise. */
const GIVEN = ['messages', 'tools', 'add_generation_prompt', 'chat_template', 'tokenize']

/** Further variables of the template, under the key that TRL reads. @throws BAD_FIELD */
function variablesOf(record: JsonRecord, fail: Fail): ChatContent['variables'] {
  const variables = fieldOf(record, 'chat_template_kwargs')
  if (variables === undefined) return undefined
  if (!isObject(variables) || variables instanceof Map) {
    fail('BAD_FIELD', `"chat_template_kwargs": expected variables by name, received ${show(variables)}`)
  }
  const given = Object.keys(variables as JsonRecord).find(
    (name) => GIVEN.includes(name) || /^adapt_/.test(name),
  )
  if (given !== undefined)
    fail('BAD_FIELD', `"chat_template_kwargs.${given}": expected another name, the template has this one`)
  return variables as ChatContent['variables']
}

/** The system message that stands beside the messages; undefined where there is none or the first says the same. */
function systemOf(record: JsonRecord, messages: readonly ChatMessage[], fail: Fail): ChatMessage | undefined {
  const content = optionalStringOf(record, 'system', fail)
  if (content === undefined || content === '') return undefined
  const own = messages.find(({ role }) => role === 'system' || role === 'developer')
  if (own === undefined) return { role: 'system', content }
  if (own !== messages[0] || own.content !== content) {
    fail(
      'BAD_FIELD',
      `"system": expected the text of the conversation's own ${own.role} message or none, received ${show(content)}; ` +
        'keep one of the two',
    )
  }
  return undefined
}

/** Two texts, or two lists of messages of which only the second is trained. */
function completionOf(record: JsonRecord, fail: Fail): DocumentContent {
  const { prompt, completion } = record
  if (!Array.isArray(prompt) && !Array.isArray(completion)) {
    for (const key of ['system', 'tools', 'functions', 'history']) {
      const value = fieldOf(record, key) ?? ''
      if (value === '' || (Array.isArray(value) && value.length === 0)) continue
      fail(
        'BAD_FIELD',
        `"${key}": expected none beside a prompt and a completion of text, which are trained as they are, received ` +
          `${show(value)}; write the record as messages`,
      )
    }
    return {
      kind: 'completion',
      prompt: stringOf(record, 'prompt', fail),
      completion: stringOf(record, 'completion', fail),
    }
  }
  if (typeof prompt === 'string' || typeof completion === 'string') {
    const other = Array.isArray(prompt) ? 'completion' : 'prompt'
    fail('BAD_FIELD', `"${other}": expected a list of messages like the other of the two, received text`)
  }
  const before = readMessages(prompt, 'prompt', fail)
  const after = readMessages(completion, 'completion', fail)
  requireAssistant(after.messages, 'completion', fail)
  const numBefore = before.messages.length
  const both = {
    messages: [...before.messages, ...after.messages],
    untrained: [...before.untrained, ...after.untrained.map((i) => i + numBefore)],
  }
  return chat(record, both, numBefore, fail)
}

/** `{instruction, input?, output, history?}`; earlier turns come before the instruction. */
function alpacaMessages(record: JsonRecord, output: string, fail: Fail): ReadMessages {
  const instruction = stringOf(record, 'instruction', fail)
  const input = optionalStringOf(record, 'input', fail)
  const history = fieldOf(record, 'history') ?? []
  if (!Array.isArray(history) || !history.every(isTurn)) {
    fail('BAD_FIELD', `"history": expected a list of [question, answer] pairs, received ${show(history)}`)
  }
  const turns: (readonly [string, string])[] = [
    ...(history as readonly (readonly [string, string])[]),
    [[instruction, input].filter((part) => part !== undefined && part !== '').join('\n\n'), output],
  ]
  const messages = turns.flatMap(([question, answer]) => [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ])
  return { messages, untrained: [] }
}

function isTurn(turn: unknown): boolean {
  return Array.isArray(turn) && turn.length === 2 && turn.every((part) => typeof part === 'string')
}
