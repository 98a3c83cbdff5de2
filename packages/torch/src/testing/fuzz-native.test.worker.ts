/** Calls the add-on's exports with anything at all. A process of its own: what must not happen is that it dies. */
import fc from 'fast-check'
import { TAG } from '../argument-encoder.js'
import { Generator, memoryStats, ones, tensor } from '../index.js'
import { engine, type Native } from '../native.js'

const [, , seed, numRuns] = process.argv
const { native, buffer } = engine()
const exports = native as unknown as Record<string, (...args: unknown[]) => unknown>

/** They would run any library's code, or take every thread of the machine. */
const SKIPPED: readonly (keyof Native)[] = ['loadLibrary', 'setNumThreads']
const OPERATORS = [
  ...['add.Tensor', 'add.out', 'mm', 'cat', 'zeros', 'sum.dim_IntList', 'to.dtype', 'index.Tensor', 'clamp'],
  ...['normal_', 'einsum', 'empty.memory_format', '_foreach_mul.ScalarList', 'permute', 'embedding'],
  ...['softmax.int', 'gather', 'index_add', 'split_with_sizes', 'expand', 'copy_', 'linalg_vector_norm'],
]
const operators = OPERATORS.map((label) => {
  const [name, overload = ''] = label.split('.')
  return native.resolve(`aten::${name}`, overload)!
})

const live = [ones([2, 3]), ones([3, 2]), tensor([0, 1], [2], { dtype: 'int64' }), ones([]).setRequiresGrad()]
const generator = new Generator(0)

const number = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    3,
    -1,
    0.5,
    NaN,
    Infinity,
    -Infinity,
    -0,
    127,
    128,
    255,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    1e300,
  ),
  fc.constantFrom(...live.map(({ handle }) => handle), generator.id),
  fc.integer({ min: -3, max: 18 }),
  fc.double(),
)
const value = fc.oneof(
  { weight: 4, arbitrary: number },
  fc.boolean(),
  fc.string(),
  fc.bigInt(),
  fc.constantFrom('aten::mm', 'aten::add', 'Tensor', ''),
  fc.constantFrom(null, undefined, Symbol('x'), [], {}, () => 0, new DataView(new ArrayBuffer(8))),
  fc.constantFrom(
    new Float32Array(6),
    new BigInt64Array(2),
    new Uint8Array(0),
    new Float32Array(new SharedArrayBuffer(8)),
  ),
  fc.array(fc.string(), { maxLength: 3 }),
)
const wrongCall = fc.record({
  name: fc.constantFrom(
    ...Object.keys(exports).filter((name) => !(SKIPPED as readonly string[]).includes(name)),
  ),
  args: fc.array(value, { maxLength: 6 }),
})
const handle = fc.constantFrom(...live.map((one) => one.handle), -1)
/** One argument as the encoder writes it: a tag and what belongs to it. */
const encoded = fc.oneof(
  fc.constantFrom(
    [TAG.default],
    [TAG.none],
    [TAG.generator, generator.id],
    [TAG.device, 0, -1],
    [TAG.device, 1, 0],
  ),
  handle.map((one) => [TAG.tensor, one]),
  number.map((one) => [TAG.number, one]),
  fc.tuple(number, number).map(([high, low]) => [TAG.integer, high, low]),
  number.map((one) => [TAG.bool, one]),
  number.map((one) => [TAG.string, one]),
  fc.array(number, { maxLength: 4 }).map((list) => [TAG.numberList, list.length, ...list]),
  fc.array(handle, { maxLength: 4 }).map((list) => [TAG.tensorList, list.length, ...list]),
)
const small = fc.integer({ min: -2, max: 3 })
const FITTING: Readonly<Record<string, fc.Arbitrary<number[]>>> = {
  tensor: handle.map((one) => [TAG.tensor, one]),
  'tensor[]': fc.array(handle, { maxLength: 3 }).map((list) => [TAG.tensorList, list.length, ...list]),
  'tensor?[]': fc.array(handle, { maxLength: 3 }).map((list) => [TAG.tensorList, list.length, ...list]),
  'int[]': fc.array(small, { maxLength: 3 }).map((list) => [TAG.numberList, list.length, ...list]),
  'scalar[]': fc.array(number, { maxLength: 3 }).map((list) => [TAG.numberList, list.length, ...list]),
  int: fc.oneof(small, number).map((one) => [TAG.number, one]),
  float: number.map((one) => [TAG.number, one]),
  scalar: number.map((one) => [TAG.number, one]),
  dtype: fc.integer({ min: 0, max: 20 }).map((one) => [TAG.number, one]),
  bool: fc.constantFrom([TAG.bool, 0], [TAG.bool, 1]),
  string: fc.constant([TAG.string, 0]),
  generator: fc.constant([TAG.generator, generator.id]),
}
/** A call of an operator whose arguments mostly are of the right kinds, or noise. */
const operatorCall = fc
  .record({
    operator: fc.constantFrom(...operators),
    fitting: fc.boolean(),
    noise: fc.array(encoded, { maxLength: 8 }),
    strings: fc.constantFrom(['ij,jk->ik'], ['ij->j'], ['sum', ''], []),
  })
  .chain(({ operator, fitting, noise, strings }) => {
    const arbitraries = operator.arguments.map(({ kind, hasDefault, optional }) =>
      fc.oneof(
        { weight: 6, arbitrary: FITTING[kind] ?? fc.constant([TAG.default]) },
        { weight: hasDefault || optional ? 6 : 0, arbitrary: fc.constant([TAG.default]) },
        { weight: 1, arbitrary: encoded },
      ),
    )
    return fc.tuple(...arbitraries).map((fitted) => {
      const filled = (fitting ? fitted : noise).flat()
      return { name: 'call', args: [operator.id, filled.length, strings], filled }
    })
  })
const wrongCallWithNoise = fc
  .tuple(wrongCall, fc.array(number, { maxLength: 24 }))
  .map(([call, filled]) => ({ ...call, filled }))

let numThrown = 0
let numDone = 0
let numOperatorsRun = 0
fc.assert(
  fc.property(fc.oneof(wrongCallWithNoise, operatorCall), ({ name, args, filled }) => {
    buffer.fill(0, 0, 64)
    buffer.set(filled)
    // Right calls with lasting effects: freeing our tensors, writing to open files, another buffer.
    if (name === 'release' && typeof args[0] === 'number') args[0] = -1
    if (name === 'writeFile' && typeof args[1] === 'number') args[1] = -1
    if (name === 'buffer' && typeof args[0] === 'number') args[0] += 2 ** 25
    try {
      exports[name]!(...args)
      numDone += 1
      if (name === 'call') numOperatorsRun += 1
    } catch (error) {
      numThrown += 1
      const { code, message } = error as { code?: unknown; message?: unknown }
      if (!(error instanceof Error) || typeof code !== 'string' || typeof message !== 'string') throw error
    }
    for (let depth = scopeDepth(); depth > 0; depth--) native.endScope(depth, 0)
  }),
  { seed: Number(seed), numRuns: Number(numRuns) },
)

/** Scopes that a lone beginScope left open. */
function scopeDepth(): number {
  const depth = native.beginScope()
  native.endScope(depth, 0)
  return depth - 1
}

console.log(JSON.stringify({ numThrown, numDone, numOperatorsRun, live: memoryStats().liveTensors > 0 }))
