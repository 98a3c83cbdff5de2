import { compileChatTemplate, renderChat } from '../chat-template/index.js'
import type { ChatContent } from '../dataset/index.js'
import { AdaptError, DataError, HostileFileError } from '../errors.js'
import { type ChatSettings, requireTemplate } from './chat-settings.js'
import type { MarkedText } from './mark-tokens.js'

/** A conversation as text with its trained spans, or why it cannot be rendered. */
export type RenderedChat = MarkedText | DataError

const BUDGET = 'CHAT_TEMPLATE_BUDGET'

/**
 * Renders conversations. A template is a program of others: call it in a thread that can be ended.
 *
 * @param onRender  Called before each rendering of a conversation or of its beginning.
 * @throws {ConfigError} for a template that is missing or wrong.
 * @throws {HostileFileError} CHAT_TEMPLATE_BUDGET for one that writes or computes without end.
 */
export function createChatRenderer(
  settings: ChatSettings,
  onRender: () => void = () => {},
): (chat: ChatContent, document: number) => RenderedChat {
  const found = requireTemplate(settings)
  const plain = compileChatTemplate(found.source, found.where)
  const withTools = found.withTools && compileChatTemplate(found.withTools.source, found.withTools.where)
  return (chat, document) => {
    const { numPromptMessages = 0, messages, tools, variables } = chat
    const template = tools === undefined ? plain : (withTools ?? plain)
    const untrained = untrainedOf(chat, settings.trainOn)
    const conversation = {
      messages,
      ...(tools === undefined ? {} : { tools }),
      ...(variables === undefined ? {} : { variables }),
      ...(untrained.length === 0 ? {} : { untrained }),
      numPromptMessages: settings.completionOnlyLoss ? numPromptMessages : 0,
    }
    try {
      return renderChat(template, conversation, settings.specialTokens, {
        assistantOnly: settings.assistantOnlyLoss,
        onRender,
      })
    } catch (error) {
      const isEndless = error instanceof AdaptError && error.code === BUDGET
      if (isEndless) throw new HostileFileError(BUDGET, error.message, { document }, { cause: error })
      if (error instanceof DataError) return error
      throw error
    }
  }
}

/** Indices of the messages that the record or `data.train_on` leaves out, in order. */
function untrainedOf(
  { messages, untrained = [] }: ChatContent,
  trainOn: ChatSettings['trainOn'],
): readonly number[] {
  if (trainOn === 'all') return untrained
  const last = messages.findLastIndex(({ role }) => role === 'assistant')
  return [...messages.keys()].filter(
    (k) => untrained.includes(k) || (messages[k]!.role === 'assistant' && k !== last),
  )
}
