import { readMessages, readTools, requireAssistant } from './chat-messages.js'
import type { ChatContent, ChatMessage, DocumentContent } from './document.js'
import { printable } from './printable.js'
import {
  type Fail,
  fieldOf,
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
  if (textField !== undefined) {
    if (!Object.hasOwn(record, textField)) {
      unknown(record, `"${printable(textField)}"`, fail)
    }
    return { kind: 'text', text: stringOf(record, textField, fail) }
  }
  for (const name of ['messages', 'conversations']) {
    const list = fieldOf(record, name) ?? undefined
    if (list !== undefined) {
      const messages = readMessages(list, name, fail)
      requireAssistant(messages, name, fail)
      return chat(record, messages, 0, fail)
    }
  }
  if (Object.hasOwn(record, 'prompt') && Object.hasOwn(record, 'completion')) {
    return completionOf(record, fail)
  }
  if (Object.hasOwn(record, 'instruction') && Object.hasOwn(record, 'output')) {
    return chat(record, alpacaMessages(record, fail), 0, fail)
  }
  if (Object.hasOwn(record, 'text')) {
    return { kind: 'text', text: stringOf(record, 'text', fail) }
  }
  const forms =
    '"messages", "conversations", "prompt" and "completion", "instruction" and "output", or "text"'
  return unknown(record, forms, fail)
}

function unknown(record: JsonRecord, accepted: string, fail: Fail): never {
  return fail(
    'UNKNOWN_RECORD',
    `expected a record with the key ${accepted}, received the keys ${keyList(Object.keys(record))}; ` +
      'rename the field or set text_field',
  )
}

function chat(
  record: JsonRecord,
  messages: readonly ChatMessage[],
  numPromptMessages: number,
  fail: Fail,
): ChatContent {
  const tools = readTools(fieldOf(record, 'tools'), fail)
  return {
    kind: 'chat',
    messages,
    ...(numPromptMessages === 0 ? {} : { numPromptMessages }),
    ...(tools === undefined ? {} : { tools }),
  }
}

/** Two texts, or two lists of messages of which only the second is trained. */
function completionOf(record: JsonRecord, fail: Fail): DocumentContent {
  const { prompt, completion } = record
  if (!Array.isArray(prompt) && !Array.isArray(completion)) {
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
  requireAssistant(after, 'completion', fail)
  return chat(record, [...before, ...after], before.length, fail)
}

/** `{instruction, input?, output, system?, history?}`; earlier turns come before the instruction. */
function alpacaMessages(record: JsonRecord, fail: Fail): readonly ChatMessage[] {
  const instruction = stringOf(record, 'instruction', fail)
  const output = stringOf(record, 'output', fail)
  const input = optionalStringOf(record, 'input', fail)
  const system = optionalStringOf(record, 'system', fail)
  const history = fieldOf(record, 'history') ?? []
  if (!Array.isArray(history) || !history.every(isTurn)) {
    fail('BAD_FIELD', `"history": expected a list of [question, answer] pairs, received ${show(history)}`)
  }
  const turns: (readonly [string, string])[] = [
    ...(history as readonly (readonly [string, string])[]),
    [[instruction, input].filter((part) => part !== undefined && part !== '').join('\n\n'), output],
  ]
  return [
    ...(system === undefined || system === '' ? [] : [{ role: 'system', content: system }]),
    ...turns.flatMap(([question, answer]) => [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ]),
  ]
}

function isTurn(turn: unknown): boolean {
  return Array.isArray(turn) && turn.length === 2 && turn.every((part) => typeof part === 'string')
}
