import { Environment } from '@huggingface/jinja'
import { type ChatContent, type ChatMessage, printable } from '../dataset/index.js'
import { AdaptError, DataError } from '../errors.js'
import { BudgetedInterpreter, overBudget } from './budgeted-interpreter.js'
import { type ChatTemplate, GENERATION_END, GENERATION_START, reasonOf } from './compile-chat-template.js'
import { messagesToRuntime, type RuntimeValue, toRuntime } from './runtime-value.js'
import { TEMPLATE_FUNCTIONS, TemplateRefusal } from './template-functions.js'

/** Names and texts of the special tokens that a tokenizer has: bos_token, eos_token, pad_token, unk_token ... */
export type SpecialTokens = Readonly<Record<string, string | undefined>>

export interface TemplateInput {
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly unknown[] | undefined
  /** Variables of the record; before special tokens and functions of the same name. */
  readonly variables?: ChatContent['variables'] | undefined
  readonly addGenerationPrompt: boolean
  /** What stands at the ends of blocks `{% generation %}`; default: nothing. */
  readonly marks?: readonly [start: string, end: string]
}

/**
 * Renders a template with the variables that transformers gives it.
 *
 * @throws {DataError} CHAT_TEMPLATE_REFUSED where the template raises an exception, CHAT_TEMPLATE_FAILED where it
 * does what it cannot do.
 * @throws {HostileFileError} CHAT_TEMPLATE_BUDGET for one that computes without end.
 */
export function renderTemplate(
  template: ChatTemplate,
  { messages, tools, variables: own = {}, addGenerationPrompt, marks = ['', ''] }: TemplateInput,
  specialTokens: SpecialTokens,
): string {
  const variables: Record<string, unknown> = {
    ...specialTokens,
    ...TEMPLATE_FUNCTIONS,
    documents: null,
    add_generation_prompt: addGenerationPrompt,
    [GENERATION_START]: marks[0],
    [GENERATION_END]: marks[1],
  }
  let text: string
  try {
    const environment = new Environment() as Environment & { readonly variables: Map<string, RuntimeValue> }
    for (const [name, value] of Object.entries(variables)) {
      environment.set(name, value)
    }
    for (const [name, value] of Object.entries(own)) environment.variables.set(name, toRuntime(value))
    environment.variables.set('messages', messagesToRuntime(messages))
    environment.variables.set('tools', toRuntime(tools ?? null))
    text = String(new BudgetedInterpreter(environment, template.where).run(template.program).value)
  } catch (error) {
    throw renderError(template.where, error)
  }
  return text
}

function renderError(where: string, error: unknown): AdaptError {
  if (error instanceof AdaptError) return error
  const options = { cause: error }
  if (error instanceof TemplateRefusal) {
    const said = `${where}: the template refuses this conversation: ${printable(error.message)}`
    return new DataError('CHAT_TEMPLATE_REFUSED', said, { where }, options)
  }
  if (error instanceof RangeError && /string length/i.test(error.message)) {
    return overBudget(where, 'makes a text that is longer than any can be')
  }
  const said = `${where}: the template cannot be rendered for this conversation: ${reasonOf(error)}`
  return new DataError('CHAT_TEMPLATE_FAILED', said, { where }, options)
}
