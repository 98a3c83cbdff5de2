import { type ChatMessage, printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { ChatTemplate } from './compile-chat-template.js'
import type { Conversation, Render, Span } from './conversation.js'

/** A text that no template and no message holds. */
const PROBE = '\ue0f5\ue0f6\ue0f7'

/**
 * What each message of the assistant adds to the text, from the end of the generation prompt on, found by rendering
 * the messages before it and those up to it. Of a message that begins the conversation only the words count: what
 * stands before them answers nothing.
 *
 * @param text  The whole conversation as the template renders it.
 * @throws {DataError} CHAT_TEMPLATE_MASK where the template renders the beginning of a conversation in another way
 * than the whole.
 */
export function prefixSpans(
  template: ChatTemplate,
  { messages, numPromptMessages = 0, untrained = [] }: Conversation,
  text: string,
  render: Render,
): Span[] {
  const left = new Set(untrained)
  return messages.flatMap(({ role }, k) => {
    const isTrained = role === 'assistant' && k >= numPromptMessages && !left.has(k)
    return isTrained ? [spanOf(template, messages, k, text, render)] : []
  })
}

/**
 * Everything after the messages below `numPromptMessages` but for the untrained ones.
 * @throws {DataError} CHAT_TEMPLATE_MASK as above.
 */
export function spansAfterPrompt(
  template: ChatTemplate,
  { messages, numPromptMessages = 0, untrained = [] }: Conversation,
  text: string,
  render: Render,
): Span[] {
  let start = 0
  if (numPromptMessages > 0) {
    const found = beginningOf(messages, numPromptMessages, text, render)
    if (typeof found !== 'number') throw cannotTell(template, numPromptMessages, found)
    start = found
  }
  const spans: Span[] = []
  for (const k of untrained.filter((index) => index >= numPromptMessages)) {
    const [first, end] = spanOf(template, messages, k, text, render)
    spans.push([start, first])
    start = end
  }
  return [...spans, [start, text.length]]
}

/** What message k adds to the text; of the assistant's, what it has to write. @throws {DataError} CHAT_TEMPLATE_MASK */
function spanOf(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  k: number,
  text: string,
  render: Render,
): Span {
  const isLast = k + 1 === messages.length
  const end = isLast ? text.length : lengthOf(messages.slice(0, k + 1), text, render)
  const start = beginningOf(messages, k, text, render)
  if (typeof start !== 'number' || typeof end !== 'number' || start > end) {
    throw cannotTell(template, k, typeof start === 'number' ? end : start)
  }
  return [start, end]
}

function beginningOf(
  messages: readonly ChatMessage[],
  k: number,
  text: string,
  render: Render,
): number | string {
  if (messages[k]?.role === 'assistant') return startOf(messages, k, text, render)
  return k === 0 ? 0 : lengthOf(messages.slice(0, k), text, render)
}

/** Where that which the assistant has to write of message k begins, else why it cannot be told. */
function startOf(messages: readonly ChatMessage[], k: number, text: string, render: Render): number | string {
  const before = messages.slice(0, k)
  const asked = beginning(before, true, render)
  // Without messages before, a template may have no generation prompt, or not yet what it puts before the first one.
  if (k > 0 && 'text' in asked && text.startsWith(asked.text)) return asked.text.length
  const bare = lengthOf(before, text, render)
  if (k > 0 && typeof bare === 'string') return 'reason' in asked ? asked.reason : bare
  const shared = 'text' in asked ? commonLength(asked.text, text) : 0
  const first = typeof bare === 'number' ? bare : 0
  if (k === 0 && 'text' in asked && shared === asked.text.length && shared > first) return shared
  const words = wordsOf(messages, k, text, render)
  if (k === 0) return words ?? 'its words cannot be found in the text'
  return Math.max(first, Math.min(shared, words ?? shared))
}

/** Where the words of message k begin: up to there the text is the same with other words. */
function wordsOf(
  messages: readonly ChatMessage[],
  k: number,
  text: string,
  render: Render,
): number | undefined {
  const { tool_calls, ...message } = messages[k]!
  const others: ChatMessage[] = [{ ...message, content: PROBE }]
  if (tool_calls !== undefined) others.push({ ...message, tool_calls, content: PROBE })
  for (const [key, value] of Object.entries(message)) {
    if (typeof value !== 'string' || !/^content$|reason|think/.test(key)) continue
    others.push({ ...messages[k]!, [key]: `${PROBE}${value}` })
  }
  const starts = others.flatMap((other) => {
    const changed = beginning(messages.with(k, other), false, render)
    return 'text' in changed && changed.text !== text ? commonLength(changed.text, text) : []
  })
  return starts.length > 0 ? Math.min(...starts) : undefined
}

function commonLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}

/** Length of the rendering of a beginning when `text` starts with it, else why there is none. */
function lengthOf(messages: readonly ChatMessage[], text: string, render: Render): number | string {
  const found = beginning(messages, false, render)
  if ('reason' in found) return found.reason
  return text.startsWith(found.text)
    ? found.text.length
    : 'it renders the messages before in another way when no others follow'
}

function beginning(
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  render: Render,
): { readonly text: string } | { readonly reason: string } {
  try {
    return { text: render(messages, addGenerationPrompt) }
  } catch (error) {
    // Templates may refuse a conversation that is cut off.
    if (!(error instanceof DataError)) throw error
    return { reason: `it cannot render the messages before alone (${printable(error.message, 400)})` }
  }
}

function cannotTell({ where }: ChatTemplate, k: number, reason: number | string): DataError {
  const why = typeof reason === 'string' ? reason : 'its generation prompt is longer than the message'
  const said =
    `${where}: cannot tell which text belongs to message ${k + 1}: ${why}; put {% generation %} ... ` +
    '{% endgeneration %} around what the assistant writes, or set data.chat_template to another template'
  return new DataError('CHAT_TEMPLATE_MASK', said, { where, message: k + 1 })
}
