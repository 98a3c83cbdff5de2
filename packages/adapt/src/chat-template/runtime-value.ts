import { Environment } from '@huggingface/jinja'
import { type ChatMessage, isObject, type JsonValue } from '../dataset/index.js'

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
 * float, and mappings keep their order.
 */
export function toRuntime(given: unknown): RuntimeValue {
  const value = given as JsonValue | undefined
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
  if (Array.isArray(value)) return new ArrayValue(value.map(toRuntime))
  return mappingOf(value, (_key, inner) => toRuntime(inner))
}

/** Messages as a value of the interpreter; JSON text in the arguments of their calls becomes `ArgumentsText`. */
export function messagesToRuntime(messages: readonly ChatMessage[]): RuntimeValue {
  const callOf = (call: unknown): RuntimeValue =>
    isPlain(call)
      ? mappingOf(call, (key, value) => {
          if (key === 'arguments' && typeof value === 'string') return new ArgumentsText(value)
          return key === 'function' ? callOf(value) : toRuntime(value)
        })
      : toRuntime(call)
  return new ArrayValue(
    messages.map((message) =>
      mappingOf(message, (key, value) => {
        if (key === 'function_call') return callOf(value)
        return key === 'tool_calls' && Array.isArray(value)
          ? new ArrayValue(value.map(callOf))
          : toRuntime(value)
      }),
    ),
  )
}

function isPlain(value: unknown): value is object {
  return isObject(value) && !(value instanceof Map)
}

function mappingOf(value: object, convert: (key: string, inner: unknown) => RuntimeValue): RuntimeValue {
  const entries = new Map<string, RuntimeValue>()
  for (const [key, inner] of value instanceof Map ? value : Object.entries(value)) {
    entries.set(key, convert(key, inner))
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
