import type { ChatMessage } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { ChatTemplate } from './compile-chat-template.js'
import type { Conversation, Render, Span } from './conversation.js'

/** Private-use characters of Unicode, of which two that a text lacks mark the ends of blocks. */
const FIRST_MARK = 0xe000
const LAST_MARK = 0xf8ff

/**
 * What stands in blocks `{% generation %}`, without the blocks of messages below `numPromptMessages` and of untrained ones.
 *
 * @param text  The whole conversation as the template renders it.
 * @throws {DataError} CHAT_TEMPLATE_MASK when a block changes the text, for example by a filter around it, or when it
 * cannot be told which blocks belong to an untrained message.
 */
export function generationSpans(
  template: ChatTemplate,
  { messages, numPromptMessages = 0, untrained = [] }: Conversation,
  text: string,
  render: Render,
): Span[] {
  const blocksOf = (some: readonly ChatMessage[], someText = render(some, false)): Span[] =>
    markedSpans(template, someText, (marks) => render(some, false, marks))
  const spans = blocksOf(messages, text)
  const isIn = (some: readonly ChatMessage[]) => some.some(({ role }) => role === 'assistant')
  const prompt = messages.slice(0, numPromptMessages)
  const numInPrompt = isIn(prompt) ? blocksOf(prompt).length : 0
  const dropped = new Set<number>()
  for (const k of untrained) {
    if (messages[k]!.role !== 'assistant' || k < numPromptMessages) continue
    const [before, upTo] = [messages.slice(0, k), messages.slice(0, k + 1)]
    const first = isIn(before) ? blocksOf(before).length : 0
    const beginning = k + 1 === messages.length ? text : render(upTo, false)
    const blocks = k + 1 === messages.length ? spans : blocksOf(upTo, beginning)
    const isSame = blocks.every(([start, end], i) => spans[i]?.[0] === start && spans[i][1] === end)
    const end = blocks.at(-1)?.[1] ?? 0
    if (first > blocks.length || !isSame || beginning.slice(0, end) !== text.slice(0, end)) {
      const said =
        `${template.where}: cannot tell which blocks {% generation %} belong to message ${k + 1}, which is not to be ` +
        'trained: the template renders the messages before in another way when no others follow; set data.chat_template to another one'
      throw new DataError('CHAT_TEMPLATE_MASK', said, { where: template.where, message: k + 1 })
    }
    for (let i = first; i < blocks.length; i++) dropped.add(i)
  }
  return spans.filter((_, i) => i >= numInPrompt && !dropped.has(i))
}

/** The blocks in order, empty ones included; a block inside another one belongs to it. */
function markedSpans(
  template: ChatTemplate,
  text: string,
  render: (marks: readonly [string, string]) => string,
): Span[] {
  const fail = (problem: string): never => {
    const said = `${template.where}: ${problem}; the tags have to stand around text that is written as it is`
    throw new DataError('CHAT_TEMPLATE_MASK', said, { where: template.where })
  }
  const marks = freeMarks(text)
  if (marks === undefined)
    return fail('the text holds every private-use character, so that none can mark a block')
  const marked = render(marks)
  const spans: Span[] = []
  let depth = 0
  let start = 0
  let length = 0
  const pieces = marked.split(new RegExp(`([${marks.join('')}])`, 'u'))
  for (const piece of pieces) {
    if (piece === marks[0]) {
      if (depth++ === 0) start = length
    } else if (piece === marks[1]) {
      if (--depth === 0) spans.push([start, length])
      if (depth < 0) fail('a block {% generation %} ends before it starts')
    } else {
      length += piece.length
    }
  }
  const unmarked = pieces.filter((piece) => piece !== marks[0] && piece !== marks[1]).join('')
  if (depth !== 0 || unmarked !== text) fail('the text changes where a block {% generation %} is marked')
  return spans
}

function freeMarks(text: string): readonly [string, string] | undefined {
  const free: string[] = []
  for (let code = FIRST_MARK; code <= LAST_MARK && free.length < 2; code++) {
    const mark = String.fromCharCode(code)
    if (!text.includes(mark)) free.push(mark)
  }
  return free.length === 2 ? [free[0]!, free[1]!] : undefined
}
