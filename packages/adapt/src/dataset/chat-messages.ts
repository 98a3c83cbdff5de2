import type { ChatMessage } from './document.js'
import { printable } from './printable.js'
import { type Fail, fieldOf, isObject, type JsonRecord, keyList, show } from './record-fields.js'

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
])

/**
 * A list of messages, `{role, content}` or `{from, value}`; other keys are kept. Content is text, or a list of text
 * parts, which are joined. Beside calls of tools or thoughts it may be null or absent, and stays so: templates ask for it.
 *
 * @param name  Key of the list, for errors.
 * @throws BAD_MESSAGES for anything else, an unknown role or an empty list.
 */
export function readMessages(list: unknown, name: string, fail: Fail): readonly ChatMessage[] {
  if (!Array.isArray(list)) {
    fail('BAD_MESSAGES', `"${name}": expected a list of messages, received ${show(list)}`)
  }
  const messages = list as readonly unknown[]
  if (messages.length === 0) {
    fail('BAD_MESSAGES', `"${name}": expected at least one message, received an empty list`)
  }
  return messages.map((message, i) => readMessage(message, `"${name}[${i}]"`, fail))
}

/** @throws BAD_MESSAGES unless one of the messages is the assistant's: without one there is nothing to learn. */
export function requireAssistant(messages: readonly ChatMessage[], name: string, fail: Fail): void {
  if (!messages.some(({ role }) => role === 'assistant')) {
    const roles = keyList([...new Set(messages.map(({ role }) => role))])
    fail('BAD_MESSAGES', `"${name}": expected a message of the assistant, received only the roles ${roles}`)
  }
}

/** The list of tools of a record: JSON, or JSON in a string as tables hold it. @throws BAD_FIELD */
export function readTools(value: unknown, fail: Fail): readonly unknown[] | undefined {
  if (value === undefined || value === null || value === '') {
    return undefined
  }
  let tools = value
  if (typeof value === 'string') {
    try {
      tools = JSON.parse(value)
    } catch (error) {
      fail('BAD_FIELD', `"tools": expected a list, or one as JSON text, received ${show(value)}`, error)
    }
  }
  if (!Array.isArray(tools)) {
    fail('BAD_FIELD', `"tools": expected a list, received ${show(tools)}`)
  }
  // An empty list is not none: templates may tell them apart.
  return tools as readonly unknown[]
}

function readMessage(message: unknown, place: string, fail: Fail): ChatMessage {
  if (!isObject(message)) {
    fail('BAD_MESSAGES', `${place}: expected {role, content} or {from, value}, received ${show(message)}`)
  }
  const record = message as JsonRecord
  // Tables of several collections have the keys of both forms, those of one of them null.
  const isShareGpt = (fieldOf(record, 'role') ?? null) === null && Object.hasOwn(record, 'from')
  const [roleKey, contentKey] = isShareGpt ? ['from', 'value'] : ['role', 'content']
  const written = fieldOf(record, roleKey!)
  const role = typeof written === 'string' ? ROLE_OF.get(written) : undefined
  if (role === undefined) {
    const known = [...ROLE_OF.keys()].join(', ')
    const keys = written === undefined ? ` (its keys are ${keyList(Object.keys(record))})` : ''
    fail('BAD_MESSAGES', `${place}.${roleKey}: expected one of ${known}, received ${show(written)}${keys}`)
  }
  const { [roleKey!]: _role, [contentKey!]: _content, role: _other, content: _null, ...others } = record
  const content = readContent(record, contentKey!, place, fail)
  return { role: role as string, ...(content === undefined ? {} : { content }), ...others }
}

/** Keys of what an assistant may say without content. */
const INSTEAD_OF_CONTENT = ['tool_calls', 'function_call', 'reasoning_content', 'reasoning', 'thinking']

function readContent(record: JsonRecord, key: string, place: string, fail: Fail): string | null | undefined {
  const content = fieldOf(record, key)
  if (typeof content === 'string') {
    return content
  }
  const isSaidOtherwise = INSTEAD_OF_CONTENT.some((other) => (record[other] ?? null) !== null)
  if ((content === null || content === undefined) && isSaidOtherwise) {
    return content
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
