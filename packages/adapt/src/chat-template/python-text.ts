import { ArgumentsText, kindOf, type RuntimeValue, toRuntime } from './runtime-value.js'
import { argumentsOf } from './tool-arguments.js'

/** How `tojson` writes; Python's names and defaults as transformers sets them. */
export interface JsonStyle {
  readonly ensureAscii: boolean
  /** What a level is indented by; undefined writes all on one line. */
  readonly indent: string | undefined
  readonly itemSeparator: string
  readonly keySeparator: string
  readonly sortKeys: boolean
}

/** What Python's `str` makes of a value; nothing of one that is undefined, as Jinja writes it. */
export function pythonText(value: RuntimeValue): string {
  if (value.type === 'StringValue') return value.value as string
  return value.type === 'UndefinedValue' ? '' : pythonNotation(value)
}

/** What Python's `repr` makes of a value: text in quotes. */
function pythonNotation(written: RuntimeValue): string {
  const { type, value } = written
  switch (type) {
    case 'NullValue':
      return 'None'
    case 'UndefinedValue':
      return 'Undefined'
    case 'BooleanValue':
      return value === true ? 'True' : 'False'
    case 'IntegerValue':
      return String(value)
    case 'FloatValue':
      return pythonFloat(value as number)
    case 'StringValue':
      return quoted(value as string)
    case 'ArrayValue':
      return `[${(value as RuntimeValue[]).map(pythonNotation).join(', ')}]`
    case 'TupleValue': {
      const items = (value as RuntimeValue[]).map(pythonNotation)
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`
    }
    case 'ObjectValue': {
      const entries = [...(value as Map<string, RuntimeValue>)]
      return `{${entries.map(([key, inner]) => `${quoted(key)}: ${pythonNotation(inner)}`).join(', ')}}`
    }
    default:
      throw new Error(`cannot write ${kindOf(written)} as text`)
  }
}

/** What Python's `json.dumps` makes of a value. @throws {Error} where Python does. */
export function pythonJson(value: RuntimeValue, style: JsonStyle, depth = 0): string {
  if (value instanceof ArgumentsText) {
    const decoded = argumentsOf(value.value as string)
    if (decoded !== undefined) return pythonJson(toRuntime(decoded), style, depth)
  }
  const inner = value.value
  switch (value.type) {
    case 'NullValue':
      return 'null'
    case 'BooleanValue':
    case 'IntegerValue':
      return String(inner)
    case 'FloatValue':
      return jsonFloatText(inner as number)
    case 'StringValue':
      return jsonText(inner as string, style)
    case 'ArrayValue':
    case 'TupleValue': {
      const items = (inner as RuntimeValue[]).map((item) => pythonJson(item, style, depth + 1))
      return `[${joinItems(items, style, depth)}]`
    }
    case 'ObjectValue': {
      const entries = [...(inner as Map<string, RuntimeValue>)]
      if (style.sortKeys) entries.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const items = entries.map(
        ([key, item]) => `${jsonText(key, style)}${style.keySeparator}${pythonJson(item, style, depth + 1)}`,
      )
      return `{${joinItems(items, style, depth)}}`
    }
    default:
      throw new Error(`tojson cannot write ${kindOf(value)}`)
  }
}

function joinItems(items: readonly string[], { indent, itemSeparator }: JsonStyle, depth: number): string {
  if (indent === undefined || items.length === 0) return items.join(itemSeparator)
  const line = `\n${indent.repeat(depth + 1)}`
  return `${line}${items.join(`${itemSeparator}${line}`)}\n${indent.repeat(depth)}`
}

/** A float as Python writes it: `1.0`, `1e-05`, `1e+16`, `inf`. */
function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [digits, exponent] = value.toExponential().split('e') as [string, string]
  const power = Number(exponent)
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  }
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

function jsonFloatText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  return pythonFloat(value)
}

function jsonText(text: string, { ensureAscii }: JsonStyle): string {
  const written = JSON.stringify(text)
  return ensureAscii
    ? written.replace(/[\x7f-\uffff]/g, (unit) => escaped('u', unit.charCodeAt(0), 4))
    : written
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\\': '\\\\',
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const inner = text.replace(/[\\\p{C}\p{Z}'"]/gu, (letter) => {
    if (letter === ' ') return letter
    if (letter === "'" || letter === '"') return letter === quote ? `\\${letter}` : letter
    const code = letter.codePointAt(0)!
    const named = NAMED_ESCAPES[letter]
    if (named !== undefined) return named
    return code < 0x100
      ? escaped('x', code, 2)
      : code < 0x10000
        ? escaped('u', code, 4)
        : escaped('U', code, 8)
  })
  return `${quote}${inner}${quote}`
}

function escaped(letter: string, code: number, numDigits: number): string {
  return `\\${letter}${code.toString(16).padStart(numDigits, '0')}`
}
