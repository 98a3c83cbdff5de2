import { DataError } from '../errors.js'
import type { ChatTemplate } from './compile-chat-template.js'
import type { Conversation, Render, Span } from './conversation.js'
import { generationSpans } from './generation-spans.js'
import { prefixSpans, spansAfterPrompt } from './prefix-spans.js'
import { renderTemplate, type SpecialTokens } from './render-template.js'
import { withDecodedArguments } from './tool-arguments.js'

export interface RenderedChat {
  readonly text: string
  /** Parts of the text that are trained, in order, apart from each other, none empty. */
  readonly trained: readonly Span[]
}

/**
 * Renders a conversation and says which part of the text is trained. With `assistantOnly` that is what stands in
 * blocks `{% generation %}` where the template has them, else what each message of the assistant adds; without, all
 * of the text. Messages below `numPromptMessages` and `untrained` ones are never trained.
 *
 * Arguments of calls that are JSON text reach the template as text; where it cannot be rendered so, as mappings.
 *
 * @throws {DataError} CHAT_TEMPLATE_MASK when the template does not show what belongs to a message;
 * CHAT_TEMPLATE_REFUSED, CHAT_TEMPLATE_FAILED, and CHAT_TEMPLATE_BUDGET as `renderTemplate`.
 * @param options.onRender  Called before each rendering; a conversation of n answers takes 2 n of them or a few more.
 */
export function renderChat(
  template: ChatTemplate,
  conversation: Conversation,
  specialTokens: SpecialTokens,
  { assistantOnly, onRender }: { readonly assistantOnly: boolean; readonly onRender?: () => void },
): RenderedChat {
  return withEitherArguments(conversation, (chat) => {
    const { messages, tools, variables } = chat
    const render: Render = (some, addGenerationPrompt, marks = ['', '']) => {
      onRender?.()
      return renderTemplate(
        template,
        { messages: some, tools, variables, addGenerationPrompt, marks },
        specialTokens,
      )
    }
    const text = render(messages, false)
    const find = !assistantOnly ? spansAfterPrompt : template.marksGeneration ? generationSpans : prefixSpans
    return { text, trained: joined(find(template, chat, text, render)) }
  })
}

/** Renders a conversation with the beginning of the assistant's next message, for generation. */
export function renderPrompt(
  template: ChatTemplate,
  conversation: Conversation,
  specialTokens: SpecialTokens,
): string {
  return withEitherArguments(conversation, ({ messages, tools, variables }) =>
    renderTemplate(template, { messages, tools, variables, addGenerationPrompt: true }, specialTokens),
  )
}

/** Tries arguments of calls that are text as mappings, too; what the template says to the text counts. */
function withEitherArguments<Result>(
  conversation: Conversation,
  render: (conversation: Conversation) => Result,
): Result {
  try {
    return render(conversation)
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    const messages = withDecodedArguments(conversation.messages)
    if (messages === undefined) throw error
    try {
      return render({ ...conversation, messages })
    } catch (second) {
      throw second instanceof DataError ? error : second
    }
  }
}

/** The spans without empty ones; those that touch become one. */
function joined(spans: readonly Span[]): Span[] {
  const result: Span[] = []
  for (const [start, end] of spans) {
    const last = result.at(-1)
    if (start === end) continue
    if (last !== undefined && start <= last[1]) result[result.length - 1] = [last[0], Math.max(end, last[1])]
    else result.push([start, end])
  }
  return result
}
