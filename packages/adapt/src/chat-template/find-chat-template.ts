import path from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { readTemplateFile, readTokenizerTemplate } from './read-template-file.js'
import { SHIPPED_TEMPLATES, shippedTemplate } from './shipped-templates.js'

export interface TemplatePlaces {
  /** `data.chat_template`: the name of a shipped template, a path, or the text of a template itself. */
  readonly configured?: string
  /** What a configured path is relative to: the folder of the config file. */
  readonly baseDir: string
  /** Folder with tokenizer.json and, perhaps, chat_template.jinja. */
  readonly tokenizerFolder: string
}

export interface TemplateSource {
  readonly source: string
  /** Where it came from, for messages: a file or the key of the config. */
  readonly where: string
}

/**
 * The chat template of a run: `data.chat_template` where it is set, else `chat_template.jinja` of the tokenizer
 * folder, else `chat_template` of its tokenizer_config.json (of several, the one named "default").
 *
 * @throws {ConfigError} CHAT_TEMPLATE_MISSING when no place has one, FILE_NOT_FOUND, FILE_UNREADABLE.
 * @throws {HostileFileError} BAD_CHAT_TEMPLATE for a file that is too large, not UTF-8 or damaged.
 */
export function findChatTemplate({ configured, baseDir, tokenizerFolder }: TemplatePlaces): TemplateSource {
  if (configured !== undefined) {
    return configuredTemplate(configured, baseDir)
  }
  const ownFile = path.join(tokenizerFolder, 'chat_template.jinja')
  const source = readTemplateFile(ownFile)
  if (source !== undefined) {
    return { source, where: printable(ownFile) }
  }
  const settingsFile = path.join(tokenizerFolder, 'tokenizer_config.json')
  const inSettings = readTokenizerTemplate(settingsFile)
  if (inSettings !== undefined) {
    return { source: inSettings, where: `${printable(settingsFile)} (chat_template)` }
  }
  throw new ConfigError(
    'CHAT_TEMPLATE_MISSING',
    `${printable(tokenizerFolder)}: expected a chat template for conversations, found neither chat_template.jinja nor ` +
      `chat_template in tokenizer_config.json; set data.chat_template to one of ${nameList()}, or to a .jinja file`,
    { tokenizerFolder },
  )
}

function configuredTemplate(configured: string, baseDir: string): TemplateSource {
  if (/\{[{%]/.test(configured)) {
    return { source: configured, where: 'data.chat_template' }
  }
  const shipped = shippedTemplate(configured)
  if (shipped !== undefined) {
    return { source: shipped, where: `the chat template ${configured}` }
  }
  const file = path.resolve(baseDir, configured)
  const source = readTemplateFile(file)
  if (source === undefined) {
    throw new ConfigError(
      'FILE_NOT_FOUND',
      `data.chat_template: expected one of ${nameList()}, a .jinja file or the text of a template, ` +
        `received "${printable(configured)}", and there is no file ${printable(file)}`,
      { file },
    )
  }
  return { source, where: printable(file) }
}

function nameList(): string {
  return SHIPPED_TEMPLATES.join(', ')
}
