import path from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import {
  badTemplate,
  readFolderTemplates,
  readTemplateFile,
  type TemplateSource,
} from './read-template-file.js'
import { SHIPPED_TEMPLATES, shippedTemplate } from './shipped-templates.js'

export interface TemplatePlaces {
  /** `data.chat_template`: the name of a shipped template, a path, or the text of a template itself. */
  readonly configured?: string
  /** What a configured path is relative to: the folder of the config file. */
  readonly baseDir: string
  /** Folder with tokenizer.json and, perhaps, chat_template.jinja. */
  readonly tokenizerFolder: string
}

/** The templates of a run. */
export interface FoundTemplate extends TemplateSource {
  /** What conversations with tools are rendered with instead, where the tokenizer has such a one. */
  readonly withTools?: TemplateSource
}

/**
 * The chat template of a run: `data.chat_template` where it is set, else that of the tokenizer folder. Of several the
 * one named "default" is taken, and for conversations with tools the one named "tool_use", as in transformers.
 *
 * @throws {ConfigError} CHAT_TEMPLATE_MISSING when no place has one, FILE_NOT_FOUND, FILE_UNREADABLE.
 * @throws {HostileFileError} BAD_CHAT_TEMPLATE for a file that is too large, not UTF-8 or damaged.
 */
export function findChatTemplate({ configured, baseDir, tokenizerFolder }: TemplatePlaces): FoundTemplate {
  if (configured !== undefined) {
    return configuredTemplate(configured, baseDir, tokenizerFolder)
  }
  const templates = readFolderTemplates(tokenizerFolder)
  const [plain, withTools] = [templates.get('default'), templates.get('tool_use')]
  const tools = withTools === undefined ? {} : { withTools }
  if (plain !== undefined) return { ...plain, ...tools }
  if (withTools !== undefined) return { ...onlyWithTools(withTools), ...tools }
  if (templates.size > 0) {
    const names = [...templates.keys()].map((name) => printable(name, 40)).join(', ')
    const { where } = [...templates.values()][0]!
    throw badTemplate(
      where,
      `expected a chat template named "default", received ${names}; set data.chat_template to one of them`,
    )
  }
  throw new ConfigError(
    'CHAT_TEMPLATE_MISSING',
    `${printable(tokenizerFolder)}: expected a chat template for conversations, found neither chat_template.jinja nor ` +
      `chat_template in tokenizer_config.json; set data.chat_template to one of ${nameList()}, or to a .jinja file`,
    { tokenizerFolder },
  )
}

/** In place of a default template that is not there: conversations without tools are refused one by one. */
function onlyWithTools({ where }: TemplateSource): TemplateSource {
  const said = 'it has no tools, and of several chat templates none is named default; set data.chat_template'
  return { source: `{{ raise_exception('${said}') }}`, where }
}

function configuredTemplate(configured: string, baseDir: string, tokenizerFolder: string): TemplateSource {
  if (/\{[{%]/.test(configured)) {
    return { source: configured, where: 'data.chat_template' }
  }
  const shipped = shippedTemplate(configured)
  if (shipped !== undefined) {
    return { source: shipped, where: `the chat template ${configured}` }
  }
  const named = /[/\\.]/.test(configured) ? undefined : readFolderTemplates(tokenizerFolder).get(configured)
  if (named !== undefined) return named
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
