import type { ChatMessage } from '../dataset/index.js'
import type { Answer } from './document-fields.js'

/** A part of a prompt: what stands behind it counts in plain text only. */
interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
  readonly delimiter: string
}

/** A question, with its answer where it is an example. */
export interface Turn {
  readonly question: string
  readonly answer?: Answer
  readonly choices?: readonly string[] | undefined
  /** What the answer begins with. */
  readonly prefix?: string | undefined
  readonly targetDelimiter: string
  readonly turnDelimiter: string
}

/** What a prompt is made of, in order. */
export interface PromptParts {
  readonly system?: string | undefined
  readonly description: string
  readonly fewShotDelimiter: string
  readonly examples: readonly Turn[]
  readonly last: Turn
}

/** Writes the messages of a conversation as text; the last one may be the beginning of an answer. */
export type RenderChat = (messages: readonly ChatMessage[], isOpen: boolean) => string

export interface ChatStyle {
  readonly render: RenderChat
  /** Examples as turns of their own, or all of them in one message. */
  readonly isMultiturn: boolean
}

/** The text that a continuation follows: plain, or by the model's chat template. */
export function buildPrompt(
  { system, description, fewShotDelimiter, examples, last }: PromptParts,
  chat?: ChatStyle,
): string {
  const head = delimited(system ?? '', description, fewShotDelimiter)
  const messages: Message[] = [
    ...(head === '' ? [] : [{ role: 'system' as const, content: head, delimiter: '' }]),
    ...[...examples, last].flatMap(messagesOf),
  ]
  if (chat === undefined) return textOf(messages)
  const isOpen = messages.at(-1)!.role === 'assistant'
  const turns = chat.isMultiturn ? messages : inOneTurn(messages)
  return chat.render(
    turns.map(({ role, content }) => ({ role, content })),
    isOpen,
  )
}

function messagesOf({ question, answer, choices, prefix, targetDelimiter, turnDelimiter }: Turn): Message[] {
  const hasAnswer = answer !== undefined && answer !== ''
  const hasPrefix = prefix !== undefined && prefix !== ''
  const isDelimited = hasAnswer && !hasPrefix ? true : hasPrefix && needsDelimiter(question, prefix)
  const asked: Message = { role: 'user', content: question, delimiter: isDelimited ? targetDelimiter : '' }
  if (hasAnswer) {
    const text = answerText(answer, choices)
    return [
      asked,
      { role: 'assistant', content: delimited(prefix ?? '', text, ' '), delimiter: turnDelimiter },
    ]
  }
  return hasPrefix ? [asked, { role: 'assistant', content: prefix, delimiter: '' }] : [asked]
}

/** The answer of an example: of several the first, of a choice its text. */
export function answerText(answer: Answer, choices: readonly string[] | undefined): string {
  const one = Array.isArray(answer)
    ? (answer as readonly (string | number)[])[0]!
    : (answer as string | number)
  return typeof one === 'number' && choices !== undefined ? (choices[one] ?? String(one)) : String(one)
}

function inOneTurn(messages: readonly Message[]): readonly Pick<Message, 'role' | 'content'>[] {
  const [first] = messages
  const system = first?.role === 'system' ? [first] : []
  const turns = messages.slice(system.length)
  const isOpen = turns.at(-1)!.role === 'assistant'
  const asked = isOpen ? turns.slice(0, -1) : turns
  const joined = asked
    .map(({ content, delimiter }, i) => (i < asked.length - 1 ? content + delimiter : content))
    .join('')
  return [...system, { role: 'user' as const, content: joined }, ...(isOpen ? [turns.at(-1)!] : [])]
}

const textOf = (messages: readonly Message[]): string =>
  messages.map(({ content, delimiter }) => content + delimiter).join('')

/** Both texts, with the delimiter between them unless one has white space there. */
function delimited(before: string, after: string, delimiter: string): string {
  if (before === '' || after === '') return before + after
  return needsDelimiter(before, after) ? before + delimiter + after : before + after
}

function needsDelimiter(before: string, after: string): boolean {
  return before !== '' && !/\s$/.test(before) && !/^\s/.test(after)
}

/** Whether a text ends with white space. */
export const endsWithBlank = (text: string): boolean => /\s$/.test(text)
