import { type Argument, ArgumentEncoder, ENUMS, TAG } from './argument-encoder.js'
import { type Device, isDevice, parseDevice } from './device.js'
import { isDType } from './dtype.js'
import { TorchError, wrapError } from './errors.js'
import { Generator } from './generator.js'
import { type ArgumentInfo, engine, type OperatorInfo } from './native.js'
import { Tensor } from './tensor.js'

/** What an operator returns: nothing, a value, or a list of values. */
export type Result =
  | Tensor
  | number
  | boolean
  | undefined
  | (Tensor | number | boolean | undefined)[]
  | Tensor[]

/** Arguments by the names of the operator's schema, as the last argument of a call. */
export type KeywordArguments = Readonly<Record<string, Argument>>

/** One overload, bound to its live schema. */
export interface Operator {
  (...args: (Argument | KeywordArguments)[]): Result
  readonly schema: string
}

function isKeywords(value: unknown): value is KeywordArguments {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype
}

/** Positional and keyword arguments in schema order. */
function arrange(info: OperatorInfo, args: readonly (Argument | KeywordArguments)[]): Argument[] {
  const ordered: Argument[] = []
  let numPositional = args.length
  const last = args[args.length - 1]
  if (isKeywords(last)) {
    numPositional -= 1
    for (const [key, value] of Object.entries(last)) {
      const i = info.arguments.findIndex((argument) => argument.name === key)
      if (i < 0) throw new TorchError('BAD_ARGUMENT', `no argument \`${key}\` in ${info.schema}`)
      if (i < numPositional) throw new TorchError('BAD_ARGUMENT', `argument \`${key}\` is given twice`)
      ordered[i] = value
    }
  }
  if (numPositional > info.arguments.length)
    throw new TorchError('BAD_ARGUMENT', `too many arguments for ${info.schema}`)
  for (let i = 0; i < numPositional; i++) ordered[i] = args[i] as Argument
  return ordered
}

function decodeAt(buffer: Float64Array, start: number): { value: Result; next: number } {
  const tag = buffer[start]
  const payload = buffer[start + 1]!
  switch (tag) {
    case TAG.none:
      return { value: undefined, next: start + 1 }
    case TAG.tensor:
      return { value: new Tensor(payload), next: start + 2 }
    case TAG.number:
      return { value: payload, next: start + 2 }
    case TAG.bool:
      return { value: payload !== 0, next: start + 2 }
    case TAG.tensorList: {
      const list = Array.from(buffer.subarray(start + 2, start + 2 + payload), (handle) => new Tensor(handle))
      return { value: list, next: start + 2 + payload }
    }
    case TAG.numberList:
      return { value: Array.from(buffer.subarray(start + 2, start + 2 + payload)), next: start + 2 + payload }
    default:
      throw new TorchError('BAD_RESULT', `unknown result tag ${tag}`)
  }
}

/** Also for a dtype that has no name here. */
function describeTensor(tensor: Tensor): string {
  try {
    return tensor.toString()
  } catch {
    return `Tensor(${tensor.shape.join(', ')})`
  }
}

/** One line, of bounded length, for any value at all. */
function describe(value: unknown): string {
  if (value instanceof Tensor) return describeTensor(value)
  if (Array.isArray(value)) {
    const items = value.slice(0, 4).map((item) => (Array.isArray(item) ? '[...]' : describe(item)))
    return `[${items.join(', ')}${value.length > 4 ? ', ...' : ''}]`
  }
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  const isPlain = value === null || ['number', 'bigint', 'boolean', 'undefined'].includes(typeof value)
  return isPlain ? String(value) : typeof value
}

/** Runs one resolved operator. In-place and out= results are the argument objects themselves. */
function invoke(name: string, info: OperatorInfo, args: readonly (Argument | KeywordArguments)[]): Result {
  const { native, buffer } = engine()
  let ordered: Argument[] = []
  try {
    ordered = isKeywords(args[args.length - 1]) ? arrange(info, args) : (args as Argument[])
    if (ordered.length > info.arguments.length)
      throw new TorchError('BAD_ARGUMENT', `too many arguments for ${info.schema}`)
    const encoder = new ArgumentEncoder(buffer)
    for (let i = 0; i < info.arguments.length; i++) encoder.encode(ordered[i], info.arguments[i]!)
    native.call(info.id, encoder.length, encoder.strings)
  } catch (error) {
    const shapes = ordered.map(describe)
    throw wrapError(error, `${name}(${shapes.join(', ')})`, { op: name, shapes })
  }
  const aliases = info.aliasOfArgument
  if (aliases.length === 1)
    return aliases[0]! >= 0 ? (ordered[aliases[0]!] as Tensor) : decodeAt(buffer, 0).value
  if (aliases.length === 0) return undefined
  let position = 0
  return aliases.map((alias) => {
    if (alias >= 0) return ordered[alias] as Tensor
    const { value, next } = decodeAt(buffer, position)
    position = next
    return value as Tensor
  })
}

/**
 * Binds one overload, for instance `bind('aten::add', 'Tensor')`. Nothing is loaded before the first call.
 * @throws {TorchError} NO_SUCH_OPERATOR on the first call when this LibTorch does not have it.
 */
export function bind(name: string, overload = ''): Operator {
  let info: OperatorInfo | undefined
  const label = overload ? `${name}.${overload}` : name
  const resolve = (): OperatorInfo => {
    info ??= engine().native.resolve(name, overload)
    if (!info)
      throw new TorchError('NO_SUCH_OPERATOR', `this LibTorch has no operator ${label}`, { op: label })
    return info
  }
  const call = (...args: (Argument | KeywordArguments)[]) => invoke(label, info ?? resolve(), args)
  return Object.defineProperty(call, 'schema', { get: () => resolve().schema }) as unknown as Operator
}

/** Whether this LibTorch has the operator; the one way optional operators are probed. */
export function hasOperator(name: string, overload = ''): boolean {
  return engine().native.resolve(name, overload) !== undefined
}

/** Whether the operator runs on a device: an old LibTorch has some for one type only. */
export function hasKernel(name: string, overload: string, device: Device): boolean {
  return engine().native.hasKernel(name, overload, parseDevice(device).type)
}

function accepts(info: ArgumentInfo, value: Argument): boolean {
  if (value === undefined) return info.hasDefault || info.optional
  if (value === null) return info.optional
  if (value instanceof Tensor) return info.kind === 'tensor'
  if (value instanceof Generator) return info.kind === 'generator'
  if (Array.isArray(value)) {
    if (value.length === 0) return info.kind.endsWith('[]')
    return value.some((item) => item instanceof Tensor)
      ? /^tensor\??\[\]$/.test(info.kind)
      : /^(int|float|bool|scalar)\[\]$/.test(info.kind)
  }
  switch (typeof value) {
    case 'number':
      if (info.kind === 'int') return Number.isInteger(value)
      return /^(float|scalar)$/.test(info.kind) || (info.broadcast && /^(int|float)\[\]$/.test(info.kind))
    case 'bigint':
      return info.kind === 'int' || info.kind === 'scalar'
    case 'boolean':
      return info.kind === 'bool' || info.kind === 'scalar'
    case 'string':
      if (info.kind === 'dtype') return isDType(value)
      if (info.kind === 'device') return isDevice(value)
      return info.kind === 'string' || ENUMS[info.kind]?.[value] !== undefined
    default:
      return false
  }
}

/** All overloads of a name; calling it picks the first whose schema takes the arguments, as torch.ops does. */
function createPacket(name: string): Operator {
  let overloads: { info: OperatorInfo; label: string }[] | undefined
  const load = () => {
    overloads ??= engine()
      .native.overloads(name)
      .map((overload) => ({
        info: engine().native.resolve(name, overload)!,
        label: overload ? `${name}.${overload}` : name,
      }))
    return overloads
  }
  const call = (...args: (Argument | KeywordArguments)[]): Result => {
    const candidates = load()
    if (candidates.length === 0)
      throw new TorchError('NO_SUCH_OPERATOR', `this LibTorch has no operator ${name}`, { op: name })
    const numPositional = args.length - (isKeywords(args[args.length - 1]) ? 1 : 0)
    for (const { info, label } of candidates) {
      if (info.arguments.some(({ keywordOnly }, i) => keywordOnly && i < numPositional)) continue
      let ordered: Argument[]
      try {
        ordered = arrange(info, args)
      } catch {
        continue
      }
      if (info.arguments.every((argument, i) => accepts(argument, ordered[i])))
        return invoke(label, info, args)
    }
    const given = args
      .flatMap((value) =>
        isKeywords(value)
          ? Object.entries(value).map(([key, one]) => `${key}: ${describe(one)}`)
          : describe(value),
      )
      .join(', ')
    throw new TorchError(
      'NO_MATCHING_OVERLOAD',
      `${name}: no overload takes (${given}); it has ${candidates.map(({ info }) => info.schema).join('; ')}`,
      { op: name },
    )
  }
  Object.defineProperty(call, 'schema', {
    get: () =>
      load()
        .map(({ info }) => info.schema)
        .join('\n'),
  })
  const cache = new Map<string, Operator>()
  return new Proxy(call, {
    get(target, key) {
      if (typeof key !== 'string' || key in target) return Reflect.get(target, key)
      return cached(cache, key, () => bind(name, key === 'default' ? '' : key))
    },
  }) as unknown as Operator
}

export type OperatorPacket = Operator & Readonly<Record<string, Operator>>
export type OperatorNamespace = Readonly<Record<string, OperatorPacket>>

/** The cached value of a key, made on first use. */
function cached<Key, Value>(cache: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = cache.get(key)
  if (found !== undefined) return found
  const made = make()
  cache.set(key, made)
  return made
}

function createNamespace(namespace: string): OperatorNamespace {
  const cache = new Map<string, OperatorPacket>()
  return new Proxy({} as Record<string, OperatorPacket>, {
    get(_, name) {
      if (typeof name !== 'string') return undefined
      return cached(cache, name, () => createPacket(`${namespace}::${name}`) as OperatorPacket)
    },
  })
}

/**
 * Every operator LibTorch knows, as `torch.ops` in Python: `ops.aten.mm(a, b)`, `ops.aten.add.Tensor(a, b, { alpha: 2 })`.
 * Arguments are bound by name and kind against the live schema.
 */
export const ops: Readonly<Record<string, OperatorNamespace>> = (() => {
  const cache = new Map<string, OperatorNamespace>()
  return new Proxy({} as Record<string, OperatorNamespace>, {
    get(_, namespace) {
      if (typeof namespace !== 'string') return undefined
      return cached(cache, namespace, () => createNamespace(namespace))
    },
  })
})()
