import { type ChatMessage, isObject, type JsonValue, readJsonField } from '../dataset/index.js'
import { DataError } from '../errors.js'

/**
 * What the JSON text of a call's arguments says when that is an object; undefined for other text.
 * @throws {DataError} BAD_FIELD for an object with a key given twice, or text that has no UTF-8 form.
 */
export function argumentsOf(text: string): JsonValue | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  return readJsonField(text, (_code, problem) => {
    throw new DataError('BAD_FIELD', `the arguments of a tool call: ${problem}`)
  })
}

/** The messages with the arguments of calls as mappings where they are JSON text; undefined where none is. */
export function withDecodedArguments(messages: readonly ChatMessage[]): readonly ChatMessage[] | undefined {
  let numDecoded = 0
  const decode = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(decode)
    if (!isObject(value) || value instanceof Map) return value
    const entries = Object.entries(value).map(([key, inner]) => {
      const decoded = key === 'arguments' && typeof inner === 'string' ? argumentsOf(inner) : undefined
      if (decoded !== undefined) numDecoded += 1
      return [key, decoded ?? (key === 'function' ? decode(inner) : inner)]
    })
    return Object.fromEntries(entries)
  }
  const decoded = messages.map((message) => {
    const { tool_calls: calls, function_call: call } = message
    return {
      ...message,
      ...(calls === undefined ? {} : { tool_calls: decode(calls) }),
      ...(call === undefined ? {} : { function_call: decode(call) }),
    }
  })
  return numDecoded > 0 ? decoded : undefined
}
