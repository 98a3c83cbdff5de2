import type { ChatMessage } from './document.js'
import { printable } from './printable.js'
import { readJsonField } from './read-json.js'
import { type Fail, fieldOf, isObject, type JsonRecord, keyList, show } from './record-fields.js'
import { switchOf } from './training-controls.js'

/** Roles that a template is given as they are. */
const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function', 'ipython']

/** Other names of roles in ShareGPT and like collections. */
const ROLE_OF: ReadonlyMap<string, string> = new Map([
  ...ROLES.map((role): [string, string] => [role, role]),
  ['human', 'user'],
  ['prompter', 'user'],
  ['gpt', 'assistant'],
  ['chatgpt', 'assistant'],
  ['bing', 'assistant'],
  ['bard', 'assistant'],
  ['model', 'assistant'],
  ['observation', 'tool'],
  ['function_response', 'tool'],
  ['tool_response', 'tool'],
  ['function_call', 'assistant'],
  ['tool_call', 'assistant'],
])

/** Names of the assistant whose words are the JSON of one or more calls. */
const CALLS = ['function_call', 'tool_call']

/** The messages of a list. */
export interface ReadMessages {
  readonly messages: readonly ChatMessage[]
  /** Which of them say that they are not trained. */
  readonly untrained: readonly number[]
}

/**
 * A list of messages, `{role, content}` or `{from, value}`; other keys are kept. Content is text, or a list of text
 * parts, which are joined. Beside calls of tools or thoughts it may be null or absent, and stays so: templates ask for
 * it. What `function_call` says becomes `tool_calls`.
 *
 * @param name  Key of the list, for errors.
 * @throws BAD_MESSAGES for anything else, an unknown role or an empty list.
 */
export function readMessages(list: unknown, name: string, fail: Fail): ReadMessages {
  if (!Array.isArray(list)) {
    fail('BAD_MESSAGES', `"${name}": expected a list of messages, received ${show(list)}`)
  }
  const messages = list as readonly unknown[]
  if (messages.length === 0) {
    fail('BAD_MESSAGES', `"${name}": expected at least one message, received an empty list`)
  }
  const untrained: number[] = []
  const read = messages.map((written, i) => {
    const place = `"${name}[${i}]"`
    const message = readMessage(written, place, fail)
    if (switchOf(message, message.role, place, fail) === false) untrained.push(i)
    return message
  })
  return { messages: read, untrained }
}

/** @throws BAD_MESSAGES unless one of the messages is the assistant's: without one there is nothing to learn. */
export function requireAssistant(messages: readonly ChatMessage[], name: string, fail: Fail): void {
  if (!messages.some(({ role }) => role === 'assistant')) {
    const roles = keyList([...new Set(messages.map(({ role }) => role))])
    fail('BAD_MESSAGES', `"${name}": expected a message of the assistant, received only the roles ${roles}`)
  }
}

/** The list of tools of a record: JSON, or JSON in a string as tables hold it. @throws BAD_FIELD */
export function readTools(value: unknown, name: string, fail: Fail): readonly unknown[] | undefined {
  if (value === undefined || value === null || value === '') {
    return undefined
  }
  const tools = typeof value === 'string' ? readJsonField(value, fieldFail(`"${name}"`, fail)) : value
  if (!Array.isArray(tools)) {
    fail('BAD_FIELD', `"${name}": expected a list, received ${show(tools)}`)
  }
  // An empty list is not none: templates may tell them apart.
  return tools as readonly unknown[]
}

function readMessage(message: unknown, place: string, fail: Fail): ChatMessage {
  if (!isObject(message)) {
    fail('BAD_MESSAGES', `${place}: expected {role, content} or {from, value}, received ${show(message)}`)
  }
  if (message instanceof Map) {
    fail('BAD_MESSAGES', `${place}: expected keys that are names, received keys of digits`)
  }
  const record = withCallList(message as JsonRecord, place, fail)
  // Tables of several collections have the keys of both forms, those of one of them null.
  const isShareGpt = fieldOf(record, 'role') === undefined && Object.hasOwn(record, 'from')
  const [roleKey, contentKey] = isShareGpt ? ['from', 'value'] : ['role', 'content']
  const written = fieldOf(record, roleKey!)
  const role = typeof written === 'string' ? ROLE_OF.get(written) : undefined
  if (role === undefined) {
    const known = [...ROLE_OF.keys()].join(', ')
    const keys = written === undefined ? ` (its keys are ${keyList(Object.keys(record))})` : ''
    fail('BAD_MESSAGES', `${place}.${roleKey}: expected one of ${known}, received ${show(written)}${keys}`)
  }
  if (written !== undefined && CALLS.includes(written as string)) {
    const { [roleKey!]: _role, [contentKey!]: said, role: _other, content: _null, ...others } = record
    return {
      role: role as string,
      content: '',
      ...others,
      tool_calls: readCalls(said, `${place}.${contentKey}`, fail),
    }
  }
  const content = readContent(record, contentKey!, place, fail)
  const said = content === undefined ? {} : { content }
  // Templates may write a whole message: its keys stay in their order.
  if (!isShareGpt) return { ...record, role: role as string, ...said }
  const { from: _from, value: _value, role: _role, content: _null, ...others } = record
  return { role: role as string, ...said, ...others }
}

/** The message with its `tool_calls` as a list, where a table holds it as JSON text. @throws BAD_FIELD */
function withCallList(record: JsonRecord, place: string, fail: Fail): JsonRecord {
  const { tool_calls: written } = record
  if (typeof written !== 'string') return record
  if (written === '') return { ...record, tool_calls: null }
  const calls = readJsonField(written, fieldFail(`${place}.tool_calls`, fail))
  if (calls !== null && !Array.isArray(calls)) {
    fail('BAD_FIELD', `${place}.tool_calls: expected a list, or one as JSON text, received ${show(calls)}`)
  }
  return { ...record, tool_calls: calls }
}

/** The calls of a ShareGPT turn, `{name, arguments}` or a list of them, as `tool_calls`. @throws BAD_MESSAGES */
function readCalls(said: unknown, place: string, fail: Fail): readonly unknown[] {
  const value = typeof said === 'string' ? readJsonField(said, fieldFail(place, fail)) : said
  const calls = (Array.isArray(value) ? value : [value]) as readonly unknown[]
  return calls.map((call) => {
    const name = isObject(call) ? fieldOf(call, 'name') : undefined
    if (typeof name !== 'string') {
      fail('BAD_MESSAGES', `${place}: expected the JSON of calls {name, arguments}, received ${show(said)}`)
    }
    return { type: 'function', function: call }
  })
}

/** Names the field in which JSON stands. */
function fieldFail(place: string, fail: Fail): Fail {
  return (code, problem, cause) =>
    fail(code === 'BAD_JSON' ? 'BAD_FIELD' : code, `${place}: ${problem}`, cause)
}

/** Keys of what an assistant may say without content. */
const INSTEAD_OF_CONTENT = ['tool_calls', 'function_call', 'reasoning_content', 'reasoning', 'thinking']

function readContent(record: JsonRecord, key: string, place: string, fail: Fail): string | null | undefined {
  const content = Object.hasOwn(record, key) ? record[key] : undefined
  if (typeof content === 'string') {
    return content
  }
  if (content === null || content === undefined) {
    if (INSTEAD_OF_CONTENT.some((other) => fieldOf(record, other) !== undefined)) return content
  }
  if (!Array.isArray(content)) {
    fail('BAD_MESSAGES', `${place}.${key}: expected text or a list of text parts, received ${show(content)}`)
  }
  return (content as readonly unknown[])
    .map((part, i) => {
      if (typeof part === 'string') return part
      if (isObject(part) && part.type === 'text' && typeof part.text === 'string') return part.text
      const kind =
        isObject(part) && typeof part.type === 'string' ? `type "${printable(part.type, 40)}"` : show(part)
      return fail('BAD_MESSAGES', `${place}.${key}[${i}]: expected {type: "text", text}, received ${kind}`)
    })
    .join('')
}
