import { afterAll, describe, expect, it } from 'vitest'
import {
  bind,
  empty,
  Generator,
  memoryStats,
  mm,
  type Operator,
  ones,
  ops,
  scope,
  type Tensor,
  tensor,
} from './index.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const aten = (name: string): Operator => ops.aten![name]!
const overload = (name: string, overloadName: string): Operator => ops.aten![name]![overloadName]!
const liveAtStart = memoryStats().liveTensors
const x = ones([2, 3])
const disposed = ones([2, 3])
disposed.dispose()
/** Argument values that the types refuse but JavaScript callers can pass. */
const untyped = (value: unknown) => value as Tensor

afterAll(() => {
  x.dispose()
})

const faults: readonly [code: string, what: string, run: () => unknown, message: RegExp][] = [
  ['NO_SUCH_OPERATOR', 'an unknown operator', () => aten('no_such_thing')(x), /aten::no_such_thing/],
  ['NO_SUCH_OPERATOR', 'an unknown namespace', () => ops.nowhere!.mm!(x, x), /nowhere::mm/],
  ['NO_SUCH_OPERATOR', 'an unknown overload', () => overload('mm', 'nowhere')(x, x), /aten::mm\.nowhere/],
  ['NO_SUCH_OPERATOR', 'a bound unknown', () => bind('aten::nothing', 'here')(x), /aten::nothing\.here/],
  [
    'NO_MATCHING_OVERLOAD',
    'no fitting kinds',
    () => aten('add')(x, [1, 2]),
    /float32\[2, 3\].*\[1, 2\].*aten::add\.Tensor/,
  ],
  ['NO_MATCHING_OVERLOAD', 'an unknown keyword', () => aten('add')(x, x, { gamma: 1 }), /gamma/],
  ['NO_MATCHING_OVERLOAD', 'a word that is no dtype', () => aten('to')(x, 'float33'), /float33/],
  ['NO_MATCHING_OVERLOAD', 'a missing argument', () => aten('mm')(x), /aten::mm/],
  ['MISSING_ARGUMENT', 'too few for an overload', () => overload('mm', 'default')(x), /`mat2`: is required/],
  ['BAD_ARGUMENT', 'too many', () => overload('mm', 'default')(x, x, x), /too many arguments for aten::mm\(/],
  [
    'BAD_ARGUMENT',
    'an unknown keyword',
    () => overload('add', 'Tensor')(x, x, { gamma: 1 }),
    /no argument `gamma` in aten::add/,
  ],
  [
    'BAD_ARGUMENT',
    'one given twice',
    () => overload('add', 'Tensor')(x, x, { other: x }),
    /`other` is given twice/,
  ],
  [
    'BAD_ARGUMENT',
    'a list for a tensor',
    () => overload('add', 'Tensor')(x, [1, 2]),
    /`other`: expected tensor/,
  ],
  ['BAD_ARGUMENT', 'a list for a dtype', () => overload('to', 'dtype')(x, [6]), /`dtype`: expected int/],
  [
    'BAD_ARGUMENT',
    'a number for a tensor',
    () => overload('mm', 'default')(x, 1),
    /`mat2`: expected tensor, received a number/,
  ],
  [
    'BAD_ARGUMENT',
    'a bigint for a tensor',
    () => overload('mm', 'default')(x, 1n),
    /expected tensor, received a bigint/,
  ],
  [
    'BAD_ARGUMENT',
    'a boolean for a tensor',
    () => overload('mm', 'default')(x, true),
    /expected tensor, received a boolean/,
  ],
  [
    'BAD_ARGUMENT',
    'a generator for a tensor',
    () => overload('mm', 'default')(x, new Generator(0)),
    /received a generator/,
  ],
  [
    'BAD_ARGUMENT',
    'a word for a tensor',
    () => overload('mm', 'default')(x, 'y'),
    /expected tensor, received "y"/,
  ],
  [
    'BAD_ARGUMENT',
    'null for a tensor',
    () => overload('mm', 'default')(x, null),
    /expected tensor, received null/,
  ],
  [
    'BAD_ARGUMENT',
    'a function',
    () =>
      overload('mm', 'default')(
        x,
        untyped(() => x),
      ),
    /received function/,
  ],
  [
    'BAD_ARGUMENT',
    'a bare object',
    () => overload('mm', 'default')(x, untyped(Object.create(null))),
    /received object/,
  ],
  [
    'BAD_ARGUMENT',
    'a tensor for a list',
    () => overload('cat', 'default')(x),
    /`tensors`: expected tensor\[\]/,
  ],
  [
    'BAD_ARGUMENT',
    'numbers for tensors',
    () => overload('cat', 'default')([1]),
    /`tensors`: expected tensor\[\].*number/,
  ],
  [
    'BAD_ARGUMENT',
    'null among tensors',
    () => overload('cat', 'default')([x, null]),
    /`tensors`: expected tensor\[\]/,
  ],
  [
    'BAD_ARGUMENT',
    'null among numbers',
    () => overload('permute', 'default')(x, untyped([0, null])),
    /list with null/,
  ],
  [
    'BAD_ARGUMENT',
    'tensors for numbers',
    () => overload('permute', 'default')(x, [x, x]),
    /`dims`: expected int\[\]/,
  ],
  [
    'BAD_ARGUMENT',
    'half an integer',
    () => overload('triu', 'default')(x, 0.5),
    /`diagonal`: expected an integer/,
  ],
  ['BAD_ARGUMENT', 'NaN for an integer', () => overload('triu', 'default')(x, NaN), /expected an integer/],
  ['BAD_ARGUMENT', 'a size of 2.5', () => overload('zeros', 'default')([2.5]), /`size`: expected an integer/],
  [
    'BAD_ARGUMENT',
    'a number for a boolean',
    () => overload('sum', 'dim_IntList')(x, 0, 1),
    /`keepdim`: expected bool/,
  ],
  ['BAD_ARGUMENT', 'a bigint beyond int64', () => overload('add', 'Scalar')(x, 2n ** 63n), /64 bits/],
  [
    'BAD_ARGUMENT',
    'an unknown dtype number',
    () => overload('zeros', 'default')([1], { dtype: 99 }),
    /`dtype`/,
  ],
  [
    'BAD_ARGUMENT',
    'an unknown layout number',
    () => overload('zeros', 'default')([1], { layout: 77 }),
    /`layout`/,
  ],
  [
    'BAD_ARGUMENT',
    'an unknown memory format',
    () => overload('clone', 'default')(x, { memory_format: 9 }),
    /`memory_format`/,
  ],
  [
    'UNKNOWN_DEVICE',
    'a word for a device',
    () => overload('zeros', 'default')([1], { device: 'gpu' }),
    /unknown device "gpu"/,
  ],
  [
    'TENSOR_DISPOSED',
    'a freed tensor',
    () => mm(x, disposed),
    /`mat2`: use of a tensor that was already freed/,
  ],
  [
    'TENSOR_DISPOSED',
    'a freed tensor in a list',
    () => overload('cat', 'default')([x, disposed]),
    /`tensors`/,
  ],
  ['TORCH_ERROR', 'shapes that do not fit', () => mm(x, x), /cannot be multiplied \(2x3 and 2x3\)/],
  [
    'INDEX_ERROR',
    'a place that is not there',
    () => overload('select', 'int')(x, 0, 5),
    /index 5 out of range/,
  ],
  ['OUT_OF_MEMORY', 'more than any machine has', () => empty([2 ** 50]), /not enough memory/],
  [
    'BUFFER_TOO_SMALL',
    'a list beyond the buffer',
    () => overload('zeros', 'default')(Array(70_000).fill(1)),
    /shared buffer/,
  ],
]

describe('a failed call', () => {
  it.each(faults)('throws %s for %s', (code, _, run, message) => {
    const error = torchErrorOf(run)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('\n')
    expect(error.message).not.toMatch(/Exception raised|frame #|\.cpp/)
  })

  it('names the operator and describes every argument', () => {
    const error = torchErrorOf(() => overload('mm', 'default')(x, ones([2, 2], { dtype: 'bfloat16' })))
    expect(error.context.op).toBe('aten::mm')
    expect(error.context.shapes).toEqual(['Tensor(float32[2, 3], cpu)', 'Tensor(bfloat16[2, 2], cpu)'])
    expect(error.message).toMatch(
      /^aten::mm\(Tensor\(float32\[2, 3\], cpu\), Tensor\(bfloat16\[2, 2\], cpu\)\): /,
    )
    expect(torchErrorOf(() => mm(x, disposed)).context.shapes).toEqual([
      'Tensor(float32[2, 3], cpu)',
      'Tensor(disposed)',
    ])
  })

  it('keeps the native backtrace apart from the message', () => {
    const error = torchErrorOf(() => mm(x, x))
    expect(String(error.context.nativeBacktrace)).toMatch(/\n/)
    expect(torchErrorOf(() => mm(x, disposed)).context).not.toHaveProperty('nativeBacktrace')
  })

  it('describes arguments whose dtype has no name here', () => {
    scope(() => {
      const complex = aten('complex')(ones([2]), ones([2])) as Tensor
      expect(codeOf(() => complex.dtype)).toBe('UNKNOWN_DTYPE')
      expect(torchErrorOf(() => mm(complex, x)).code).toBe('TORCH_ERROR')
    })
  })

  it('leaves nothing behind and the engine usable', () => {
    const before = memoryStats()
    for (const [, , run] of faults) expect(run).toThrow()
    scope(() => expect(valuesOf(mm(tensor([2], [1, 1]), tensor([3], [1, 1])))).toEqual([6]))
    const after = memoryStats()
    expect(after.allocatedBytes).toBe(before.allocatedBytes)
    expect(after.liveTensors).toBe(before.liveTensors)
    expect(after.liveTensors).toBeGreaterThan(liveAtStart)
  })
})
