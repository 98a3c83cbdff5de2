import { compileChatTemplate, renderChat } from '../chat-template/index.js'
import type { ChatContent } from '../dataset/index.js'
import { AdaptError, DataError, HostileFileError } from '../errors.js'
import { type ChatSettings, requireTemplate } from './chat-settings.js'
import type { MarkedText } from './mark-tokens.js'

/** Longest text that one conversation may render to, in UTF-16 units; a JSON line has at most 16 MiB. */
const MAX_RENDERED = 64 * 1024 * 1024

/** A conversation as text with its trained spans, or why it cannot be rendered. */
export type RenderedChat = MarkedText | DataError

/**
 * Renders conversations. A template is a program of others: call it in a thread that can be ended.
 *
 * @throws {ConfigError} for a template that is missing, wrong, or whose trained spans cannot be found.
 * @throws {HostileFileError} TEMPLATE_BUDGET for one that writes without end.
 */
export function createChatRenderer(
  settings: ChatSettings,
): (chat: ChatContent, document: number) => RenderedChat {
  const { source, where } = requireTemplate(settings)
  const template = compileChatTemplate(source, where)
  return (chat, document) => {
    const { numPromptMessages = 0, messages, tools } = chat
    try {
      const { text, trained } = renderChat(
        template,
        {
          messages,
          ...(tools === undefined ? {} : { tools }),
          numPromptMessages: settings.completionOnlyLoss ? numPromptMessages : 0,
        },
        settings.specialTokens,
        { assistantOnly: settings.assistantOnlyLoss },
      )
      if (text.length > MAX_RENDERED) {
        throw new HostileFileError(
          'TEMPLATE_BUDGET',
          `${where}: one conversation became ${text.length} characters`,
        )
      }
      return { text, trained }
    } catch (error) {
      if (error instanceof DataError) return error
      if (error instanceof AdaptError) throw error
      // A text beyond the longest one that there can be, or a macro that calls itself for ever.
      if (error instanceof RangeError) {
        const said = `${where}: rendering one conversation failed (${error.message}); set data.chat_template`
        throw new HostileFileError('TEMPLATE_BUDGET', said, { document }, { cause: error })
      }
      return new DataError('CHAT_REFUSED', `${where}: ${(error as Error).message}`, {}, { cause: error })
    }
  }
}
