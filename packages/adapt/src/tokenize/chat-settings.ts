import { createHash } from 'node:crypto'
import { type FoundTemplate, findChatTemplate } from '../chat-template/index.js'
import { ConfigError } from '../errors.js'

/** What the config says of conversations and completions. */
export interface ChatOptions {
  /** `data.chat_template`: a name, a file or the template itself. Default: that of the tokenizer folder. */
  readonly configured?: string
  /** Folder that a file is relative to. Default: the working directory. */
  readonly baseDir?: string
  /** Train on the assistant's messages only. Default true. */
  readonly assistantOnlyLoss?: boolean
  /** Train on completions, not on their prompts. Default true. */
  readonly completionOnlyLoss?: boolean
  /** Messages of the assistant that are trained: all of a conversation, or the last one. Default `all`. */
  readonly trainOn?: 'all' | 'last'
}

/** How conversations become text and labels; plain data, for threads. */
export interface ChatSettings {
  /** Absent where none was found: then a conversation is an error. */
  readonly template?: FoundTemplate
  /** Why there is no template. */
  readonly problem?: string
  /** Special tokens by the name that a template knows them by, such as `eos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>
  readonly assistantOnlyLoss: boolean
  readonly completionOnlyLoss: boolean
  readonly trainOn: 'all' | 'last'
  /** SHA-256 (hex) of all of this: equal hashes give equal tokens and labels. */
  readonly hash: string
}

/**
 * Finds the template of a tokenizer folder or config.
 * @throws {ConfigError} when a template that the config names is not there.
 */
export function readChatSettings(
  tokenizerFolder: string,
  specialTokens: Readonly<Record<string, string>>,
  {
    configured,
    baseDir = '.',
    assistantOnlyLoss = true,
    completionOnlyLoss = true,
    trainOn = 'all',
  }: ChatOptions,
): ChatSettings {
  const found = find(tokenizerFolder, baseDir, configured)
  const parts = [
    found.template?.source ?? null,
    found.template?.withTools?.source ?? null,
    specialTokens,
    assistantOnlyLoss,
    completionOnlyLoss,
    trainOn,
  ]
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  return { ...found, specialTokens, assistantOnlyLoss, completionOnlyLoss, trainOn, hash }
}

function find(tokenizerFolder: string, baseDir: string, configured: string | undefined) {
  try {
    const template = findChatTemplate({
      tokenizerFolder,
      baseDir,
      ...(configured === undefined ? {} : { configured }),
    })
    return { template }
  } catch (error) {
    // Data without conversations needs no template: it is missed where one comes.
    if (!(error instanceof ConfigError) || configured !== undefined) throw error
    return { problem: error.message }
  }
}

/** @throws {ConfigError} CHAT_TEMPLATE_MISSING, with the places that were looked at. */
export function requireTemplate({ template, problem }: ChatSettings): NonNullable<ChatSettings['template']> {
  if (template === undefined) {
    throw new ConfigError(
      'CHAT_TEMPLATE_MISSING',
      problem ?? 'expected a chat template; set data.chat_template',
    )
  }
  return template
}
