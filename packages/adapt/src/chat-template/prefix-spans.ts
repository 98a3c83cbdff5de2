import { type ChatMessage, printable } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { ChatTemplate } from './compile-chat-template.js'
import type { Conversation, Render, Span } from './render-chat.js'

/**
 * What each message of the assistant adds to the text, from the end of the generation prompt on, found by rendering
 * the messages before it and those up to it.
 *
 * @param text  The whole conversation as the template renders it.
 * @throws {DataError} CHAT_TEMPLATE_MASK where the template renders the beginning of a conversation in another way
 * than the whole.
 */
export function prefixSpans(
  template: ChatTemplate,
  { messages, numPromptMessages = 0 }: Conversation,
  text: string,
  render: Render,
): Span[] {
  const spans: Span[] = []
  for (let k = numPromptMessages; k < messages.length; k++) {
    if (messages[k]!.role !== 'assistant') continue
    const isLast = k + 1 === messages.length
    const end = isLast ? text.length : lengthOf(messages.slice(0, k + 1), [false], text, render)
    const start = lengthOf(messages.slice(0, k), [true, false], text, render)
    if (typeof start !== 'number' || typeof end !== 'number' || start > end) {
      throw cannotTell(template, k, typeof start === 'number' ? end : start)
    }
    spans.push([start, end])
  }
  return spans
}

/** Everything after the messages below `numPromptMessages`. @throws {DataError} CHAT_TEMPLATE_MASK as above. */
export function spansAfterPrompt(
  template: ChatTemplate,
  { messages, numPromptMessages = 0 }: Conversation,
  text: string,
  render: Render,
): Span[] {
  if (numPromptMessages === 0) return [[0, text.length]]
  const isAnswered = messages[numPromptMessages]?.role === 'assistant'
  const tries = isAnswered ? [true, false] : [false]
  const start = lengthOf(messages.slice(0, numPromptMessages), tries, text, render)
  if (typeof start !== 'number') throw cannotTell(template, numPromptMessages, start)
  return [[start, text.length]]
}

/** Length of the first rendering that `text` starts with, else why there is none. */
function lengthOf(
  messages: readonly ChatMessage[],
  generationPrompts: readonly boolean[],
  text: string,
  render: Render,
): number | string {
  let reason = 'it renders the messages before in another way when no others follow'
  for (const addGenerationPrompt of generationPrompts) {
    try {
      const prefix = render(messages, addGenerationPrompt)
      if (text.startsWith(prefix)) return prefix.length
    } catch (error) {
      // Templates may refuse a conversation that is cut off.
      if (!(error instanceof DataError)) throw error
      reason = `it cannot render the messages before alone (${printable(error.message, 400)})`
    }
  }
  return reason
}

function cannotTell({ where }: ChatTemplate, k: number, reason: number | string): DataError {
  const why = typeof reason === 'string' ? reason : 'its generation prompt is longer than the message'
  const said =
    `${where}: cannot tell which text belongs to message ${k + 1}: ${why}; put {% generation %} ... ` +
    '{% endgeneration %} around what the assistant writes, or set data.chat_template to another template'
  return new DataError('CHAT_TEMPLATE_MASK', said, { where, message: k + 1 })
}
