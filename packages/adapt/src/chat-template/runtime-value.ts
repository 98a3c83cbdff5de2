import { Environment } from '@huggingface/jinja'
import type { JsonValue } from '../dataset/index.js'

/** A value of the library's interpreter, whose own types cannot be resolved. */
export interface RuntimeValue {
  readonly type: string
  readonly value: unknown
  /** Methods of texts and mappings. */
  readonly builtins?: ReadonlyMap<string, RuntimeValue>
}

type Boxes = new (value: unknown) => RuntimeValue

/** The library does not export its classes of values; what it makes of a variable is one. */
function classOf(value: unknown): Boxes {
  return new Environment().set('value', value).constructor as unknown as Boxes
}

const StringValue = classOf('')
const IntegerValue = classOf(0)
const FloatValue = classOf(0.5)
const BooleanValue = classOf(true)
const NullValue = classOf(null)
const UndefinedValue = classOf(undefined)
const ArrayValue = classOf([])
const ObjectValue = classOf({})

/** The arguments of a tool call as JSON text; `tojson` writes what the text says. */
export class ArgumentsText extends StringValue {}

/** A text as a value of the interpreter. */
export function runtimeText(text: string): RuntimeValue {
  return new StringValue(text)
}

/** A list as a value of the interpreter. */
export function runtimeList(items: readonly RuntimeValue[]): RuntimeValue {
  return new ArrayValue(items)
}

/**
 * A value of a record as one of the interpreter: an integer above 2^53 is an integer with a `bigint`, a boxed number a
 * float, and mappings keep their order. JSON text under `arguments` in `tool_calls` and `function_call` becomes
 * `ArgumentsText`.
 */
export function toRuntime(value: unknown): RuntimeValue {
  return convert(value as JsonValue | undefined, false)
}

function convert(value: JsonValue | undefined, isCall: boolean): RuntimeValue {
  switch (typeof value) {
    case 'string':
      return new StringValue(value)
    case 'number':
      return Number.isInteger(value) ? new IntegerValue(value) : new FloatValue(value)
    case 'bigint':
      return new IntegerValue(value)
    case 'boolean':
      return new BooleanValue(value)
    case 'undefined':
      return new UndefinedValue(value)
    case 'object':
      break
    default:
      throw new TypeError(`expected JSON for a template, received a ${typeof value}`)
  }
  if (value === null) return new NullValue(null)
  if (value instanceof Number) return new FloatValue(Number(value))
  if (Array.isArray(value)) return new ArrayValue(value.map((item) => convert(item, isCall)))
  const entries = new Map<string, RuntimeValue>()
  for (const [key, inner] of value instanceof Map ? value : Object.entries(value)) {
    const isText = isCall && key === 'arguments' && typeof inner === 'string'
    entries.set(
      key,
      isText
        ? new ArgumentsText(inner)
        : convert(inner, isCall || key === 'tool_calls' || key === 'function_call'),
    )
  }
  return new ObjectValue(entries)
}

/** What a value is, for messages. */
export function kindOf({ type }: RuntimeValue): string {
  return KINDS[type] ?? type.replace('Value', '').toLowerCase()
}

const KINDS: Readonly<Record<string, string>> = {
  StringValue: 'text',
  IntegerValue: 'an integer',
  FloatValue: 'a float',
  BooleanValue: 'a truth value',
  NullValue: 'none',
  UndefinedValue: 'a value that is not defined',
  ArrayValue: 'a list',
  TupleValue: 'a list',
  ObjectValue: 'a mapping',
  NamespaceValue: 'a namespace',
  FunctionValue: 'a function',
}
