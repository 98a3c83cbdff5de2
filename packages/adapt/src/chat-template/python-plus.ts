import { jsonFloat, jsonInteger } from '../dataset/index.js'
import { kindOf, type RuntimeValue, runtimeList, runtimeText, toRuntime } from './runtime-value.js'

const LISTS = ['ArrayValue', 'TupleValue']
const INTEGERS = ['IntegerValue', 'BooleanValue']

/** `+` as Python has it: text to text, lists to lists, numbers to numbers. @throws {Error} for any other two. */
export function pythonPlus(left: RuntimeValue, right: RuntimeValue): RuntimeValue {
  const [a, b] = [left.value, right.value]
  const are = (types: readonly string[]) => types.includes(left.type) && types.includes(right.type)
  if (are(['StringValue'])) return runtimeText((a as string) + (b as string))
  if (are(LISTS)) return runtimeList([...(a as RuntimeValue[]), ...(b as RuntimeValue[])])
  if (are(INTEGERS)) return toRuntime(jsonInteger(BigInt(a as number) + BigInt(b as number)))
  if (are([...INTEGERS, 'FloatValue'])) return toRuntime(jsonFloat(Number(a) + Number(b)))
  throw new Error(
    `+ joins ${kindOf(left)} to ${kindOf(right)}; write values with tojson, or join them with ~`,
  )
}
