import { type Environment, Interpreter } from '@huggingface/jinja'
import { HostileFileError } from '../errors.js'
import { LOOPED, WRITING_FILTER, WRITTEN } from './follow-python.js'
import { pythonPlus } from './python-plus.js'
import { pythonText } from './python-text.js'
import { type RuntimeValue, runtimeList, runtimeText } from './runtime-value.js'
import { type WritingFilter, writeFilter } from './writing-filters.js'

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
  evaluateArguments(args: unknown, environment: unknown): [RuntimeValue[], Map<string, RuntimeValue>]
}
/** Names that a mapping of Python has as methods, and templates call. */
const MAPPING_METHODS = ['items', 'keys', 'values', 'get']

/** Nodes that are evaluated here: those that `followPython` adds, members of mappings, and sums. */
type PythonNode =
  | { readonly type: typeof WRITTEN | typeof LOOPED; readonly expression: unknown }
  | {
      readonly type: typeof WRITING_FILTER
      readonly name: WritingFilter
      readonly operand: unknown
      readonly args: unknown
    }
  | {
      readonly type: 'MemberExpression'
      readonly computed: boolean
      readonly object: unknown
      readonly property: { readonly value: string }
    }
  | {
      readonly type: 'BinaryExpression'
      readonly operator: { readonly value: string }
      readonly left: unknown
      readonly right: unknown
    }

const Base = Interpreter as unknown as new (environment: Environment) => LibraryInterpreter

/**
 * Runs a template that may be made to harm: endless loops, texts and lists that double again and again end here, at
 * the same place every time. What one filter does by itself is not counted; a thread that can be ended is for that.
 */
export class BudgetedInterpreter extends Base {
  #numSteps = 0

  /** @param where  Where the template came from, for messages. @param isStrict  Writing what is not defined is an error. */
  constructor(
    environment: Environment,
    private readonly where: string,
    private readonly isStrict = false,
  ) {
    super(environment)
  }

  /** @throws {HostileFileError} CHAT_TEMPLATE_BUDGET */
  override evaluate(statement: unknown, environment: unknown): RuntimeValue {
    this.#numSteps += 1
    if (this.#numSteps > MAX_STEPS) throw overBudget(this.where, `takes more than ${MAX_STEPS} steps`)
    const result = this.#evaluate(statement, environment)
    const { value } = result
    if (typeof value === 'string' && value.length > MAX_TEXT) {
      throw overBudget(this.where, `makes a text of more than ${MAX_TEXT} characters`)
    }
    if (Array.isArray(value) && value.length > MAX_LIST) {
      throw overBudget(this.where, `makes a list of more than ${MAX_LIST} items`)
    }
    return result
  }

  #evaluate(statement: unknown, environment: unknown): RuntimeValue {
    const node = statement as PythonNode | null | undefined
    if (node?.type === WRITTEN) {
      const value = this.evaluate(node.expression, environment)
      if (this.isStrict && value.type === 'UndefinedValue')
        throw new Error(`${nameOf(node.expression)} is not defined`)
      return value.type === 'StringValue' ? value : runtimeText(pythonText(value))
    }
    if (node?.type === LOOPED) {
      const value = this.evaluate(node.expression, environment)
      return value.type === 'UndefinedValue' ? runtimeList([]) : value
    }
    if (node?.type === WRITING_FILTER) {
      const operand = this.evaluate(node.operand, environment)
      const [args, named] = this.evaluateArguments(node.args, environment)
      return runtimeText(writeFilter(node.name, operand, args, named))
    }
    if (
      node?.type === 'MemberExpression' &&
      !node.computed &&
      MAPPING_METHODS.includes(node.property.value)
    ) {
      const { type, builtins } = this.evaluate(node.object, environment)
      // The library takes a key of that name before the method, Python's Jinja does not.
      if (type === 'ObjectValue') return builtins!.get(node.property.value)!
    }
    if (node?.type === 'BinaryExpression' && node.operator.value === '+') {
      return pythonPlus(this.evaluate(node.left, environment), this.evaluate(node.right, environment))
    }
    return super.evaluate(statement, environment)
  }
}

function nameOf(expression: unknown): string {
  const { type, value } = expression as { readonly type: string; readonly value?: unknown }
  return type === 'Identifier' ? `"${value}"` : 'a value that it writes'
}

/** What a template gets that computes or writes without end. */
export function overBudget(where: string, what: string): HostileFileError {
  const said = `${where}: rendering one record ${what}; set another template`
  return new HostileFileError('CHAT_TEMPLATE_BUDGET', said, { where })
}
