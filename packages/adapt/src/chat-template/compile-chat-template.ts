import { parse, tokenize } from '@huggingface/jinja'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { followPython } from './follow-python.js'
import { MAX_TEMPLATE_BYTES } from './read-template-file.js'

/** Longest run of white space; the time of the library's lexer grows with its square. */
const MAX_BLANKS = 1000

/** Variables that a block `{% generation %}` writes at its ends. */
export const GENERATION_START = 'adapt_generation_start__'
export const GENERATION_END = 'adapt_generation_end__'

/** A template that is ready to be rendered; `compileChatTemplate` makes it. */
export interface ChatTemplate {
  readonly source: string
  /** Where the template came from, for messages. */
  readonly where: string
  /** Whether blocks `{% generation %}` say what is the assistant's. */
  readonly marksGeneration: boolean
  /** The library's syntax tree; published types must not need those of the library, which do not compile. */
  readonly program: object
}

/**
 * Compiles a template with trim_blocks and lstrip_blocks, as transformers does.
 *
 * @param where  File or key of the config, for messages.
 * @throws {ConfigError} CHAT_TEMPLATE_SYNTAX.
 */
export function compileChatTemplate(source: string, where: string): ChatTemplate {
  const fail = (problem: string, cause?: unknown): never => {
    const said = `${where}: ${problem}; mend the template or set data.chat_template to another one`
    throw new ConfigError('CHAT_TEMPLATE_SYNTAX', said, { where }, { cause })
  }
  if (Buffer.byteLength(source) > MAX_TEMPLATE_BYTES) {
    fail(`expected a chat template of at most ${MAX_TEMPLATE_BYTES} bytes`)
  }
  if (longestBlanks(source) > MAX_BLANKS) {
    fail(`expected at most ${MAX_BLANKS} blanks in a row`)
  }
  // Python's Jinja writes every line end as \n.
  const text = source.replace(/\r\n?/g, '\n')
  const marks = countMarks(text)
  if (marks.starts !== marks.ends) {
    fail(
      `expected as many {% generation %} as {% endgeneration %}, received ${marks.starts} and ${marks.ends}`,
    )
  }
  try {
    const program = parse(tokenize(markGeneration(text), { trim_blocks: true, lstrip_blocks: true }))
    followPython(program)
    return { source, where, marksGeneration: marks.starts > 0, program }
  } catch (error) {
    // The library's parser steps over the end of the text where a tag or a block is missing.
    const reason = error instanceof TypeError ? 'it ends inside a tag or a block' : reasonOf(error)
    return fail(`not a Jinja template that can be read: ${reason}`, error)
  }
}

/** What an error of the library says, on one line; it also throws what is too deep for the stack. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return printable(/call stack/i.test(message) ? 'nested too deeply' : message)
}

const GENERATION_TAG = /\{%(-?)[ \t\n]*(end)?generation[ \t\n]*(-?)%\}/g

/**
 * The library drops the tags `generation` and their white-space control differs from that of other tags. Here each
 * becomes an if around a variable: a tag still stands at either side, so white space is treated as for any tag.
 */
function markGeneration(text: string): string {
  return text.replace(
    GENERATION_TAG,
    (_tag, before: string, end: string | undefined, after: string) =>
      `{%${before} if true %}{{ ${end ? GENERATION_END : GENERATION_START} }}{% endif ${after}%}`,
  )
}

function countMarks(text: string): { starts: number; ends: number } {
  const tags = [...text.matchAll(GENERATION_TAG)]
  const ends = tags.filter((tag) => tag[2] !== undefined).length
  return { starts: tags.length - ends, ends }
}

function longestBlanks(text: string): number {
  let longest = 0
  let run = 0
  for (let i = 0; i < text.length; i++) {
    run = /\s/.test(text[i]!) ? run + 1 : 0
    if (run > longest) longest = run
  }
  return longest
}
