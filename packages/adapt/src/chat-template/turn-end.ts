import type { ChatTemplate } from './compile-chat-template.js'
import { renderTemplate, type SpecialTokens } from './render-template.js'

/** A text that no template writes by itself. */
const CONTENT = '\ue0f5\ue0f6\ue0f7'

/**
 * What a template writes behind a message of the assistant, without white space around it: the sign at which a
 * generated answer ends. Undefined where there is none to be seen.
 */
export function turnEnd(template: ChatTemplate, specialTokens: SpecialTokens): string | undefined {
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: CONTENT },
  ]
  const text = renderTemplate(template, { messages, addGenerationPrompt: false }, specialTokens)
  const end = text.lastIndexOf(CONTENT)
  const after = end < 0 ? '' : text.slice(end + CONTENT.length).trim()
  return after === '' ? undefined : after
}
