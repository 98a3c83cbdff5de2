import type { ChatContent, ChatMessage } from '../dataset/index.js'

/** A conversation for a template. */
export type Conversation = Pick<
  ChatContent,
  'messages' | 'numPromptMessages' | 'untrained' | 'tools' | 'variables'
>

/** Part of a text, from `start` up to `end`, in UTF-16 units. */
export type Span = readonly [start: number, end: number]

/** Renders some messages of one conversation. */
export type Render = (
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  marks?: readonly [start: string, end: string],
) => string
