import { Environment, parse, tokenize } from '@huggingface/jinja'
import { AdaptError, ConfigError, DataError } from '../errors.js'
import { BudgetedInterpreter } from './budgeted-interpreter.js'
import { reasonOf } from './compile-chat-template.js'
import { followPython } from './follow-python.js'
import { MAX_TEMPLATE_BYTES } from './read-template-file.js'
import { type RuntimeValue, toRuntime } from './runtime-value.js'
import { TEMPLATE_FUNCTIONS } from './template-functions.js'

/** A template for the fields of a record; `compileTextTemplate` makes it. */
export interface TextTemplate {
  /** Where it came from, for messages. */
  readonly where: string
  /** The library's syntax tree. */
  readonly program: object
}

/**
 * Compiles a template as Jinja does by default: blocks keep the white space around them, and its last line end stays.
 * @param where  File and key, for messages.
 * @throws {ConfigError} TEMPLATE_SYNTAX
 */
export function compileTextTemplate(source: string, where: string): TextTemplate {
  if (Buffer.byteLength(source) > MAX_TEMPLATE_BYTES) {
    throw new ConfigError(
      'TEMPLATE_SYNTAX',
      `${where}: expected a template of at most ${MAX_TEMPLATE_BYTES} bytes`,
      { where },
    )
  }
  const text = source.replace(/\r\n?/g, '\n')
  try {
    // The library drops one line end at the end.
    const program = parse(tokenize(text.endsWith('\n') ? `${text}\n` : text))
    followPython(program)
    return { where, program }
  } catch (error) {
    const reason = error instanceof TypeError ? 'it ends inside a tag or a block' : reasonOf(error)
    throw new ConfigError(
      'TEMPLATE_SYNTAX',
      `${where}: not a Jinja template that can be read: ${reason}`,
      { where },
      { cause: error },
    )
  }
}

/**
 * @param variables  Values of JSON by name; writing one that is not there is an error.
 * @throws {DataError} TEMPLATE_FAILED; {HostileFileError} CHAT_TEMPLATE_BUDGET for one that computes without end.
 */
export function renderTextTemplate(
  { where, program }: TextTemplate,
  variables: Readonly<Record<string, unknown>>,
): string {
  try {
    const environment = new Environment() as Environment & { readonly variables: Map<string, RuntimeValue> }
    for (const [name, value] of Object.entries(TEMPLATE_FUNCTIONS)) environment.set(name, value)
    for (const [name, value] of Object.entries(variables)) environment.variables.set(name, toRuntime(value))
    return String(new BudgetedInterpreter(environment, where, true).run(program).value)
  } catch (error) {
    if (error instanceof AdaptError) throw error
    throw new DataError('TEMPLATE_FAILED', `${where}: ${reasonOf(error)}`, { where }, { cause: error })
  }
}
