import { type Environment, Interpreter } from '@huggingface/jinja'
import { HostileFileError } from '../errors.js'
import { WRITTEN } from './follow-python.js'

/** Parts of a template that one rendering may evaluate; one of a thousand messages needs some 50,000. */
const MAX_STEPS = 2_000_000
/** Longest list that a template may make. */
const MAX_LIST = 1_000_000
/** Longest text, in UTF-16 units. */
const MAX_TEXT = 64 * 1024 * 1024

/** What is used of the library's interpreter, whose own types cannot be resolved. */
interface LibraryInterpreter {
  run(program: unknown): { readonly value: unknown }
  /** Called for every part of a template, by itself too. */
  evaluate(statement: unknown, environment: unknown): RuntimeValue
}
interface RuntimeValue {
  readonly type: string
  readonly value: unknown
}
const Base = Interpreter as unknown as new (environment: Environment) => LibraryInterpreter

/**
 * Runs a template that may be made to harm: endless loops, texts and lists that double again and again end here, at
 * the same place every time. What one filter does by itself is not counted; a thread that can be ended is for that.
 */
export class BudgetedInterpreter extends Base {
  #numSteps = 0

  /** @param where  Where the template came from, for messages. */
  constructor(
    environment: Environment,
    private readonly where: string,
  ) {
    super(environment)
  }

  /** @throws {HostileFileError} CHAT_TEMPLATE_BUDGET */
  override evaluate(statement: unknown, environment: unknown): RuntimeValue {
    const node = statement as { readonly type: string; readonly expression?: unknown } | null | undefined
    if (node?.type === WRITTEN) return this.#write(this.evaluate(node.expression, environment), environment)
    this.#numSteps += 1
    if (this.#numSteps > MAX_STEPS) throw overBudget(this.where, `takes more than ${MAX_STEPS} steps`)
    const result = super.evaluate(statement, environment)
    const { value } = result
    if (typeof value === 'string' && value.length > MAX_TEXT) {
      throw overBudget(this.where, `makes a text of more than ${MAX_TEXT} characters`)
    }
    if (Array.isArray(value) && value.length > MAX_LIST) {
      throw overBudget(this.where, `makes a list of more than ${MAX_LIST} items`)
    }
    return result
  }

  /** What Python's Jinja writes of a value: none, true and false by name, nothing of what is undefined. */
  #write(result: RuntimeValue, environment: unknown): RuntimeValue {
    const { type, value } = result
    const text = type === 'BooleanValue' ? (value ? 'True' : 'False') : TEXT_OF[type]
    return text === undefined ? result : super.evaluate({ type: 'StringLiteral', value: text }, environment)
  }
}

const TEXT_OF: Readonly<Record<string, string>> = { NullValue: 'None', UndefinedValue: '' }

/** What a template gets that computes or writes without end. */
export function overBudget(where: string, what: string): HostileFileError {
  const said = `${where}: rendering one conversation ${what}; set data.chat_template to another template`
  return new HostileFileError('CHAT_TEMPLATE_BUDGET', said, { where })
}
