import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import {
  bind,
  empty,
  Generator,
  memoryStats,
  type Operator,
  ones,
  ops,
  scope,
  type Tensor,
  TorchError,
  tensor,
} from './index.js'
import { codeOf, torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'

const packet = (name: string): Operator => ops.aten![name]!
const mm = bind('aten::mm')
const add = bind('aten::add', 'Tensor')
const cat = bind('aten::cat')
const zeros = bind('aten::zeros')
const triu = bind('aten::triu')
const permute = bind('aten::permute')
const liveAtStart = memoryStats().liveTensors
const x = ones([2, 3])
const freed = ones([2, 3])
freed.dispose()
const loop: unknown[] = []
loop.push(loop)
/** Argument values that the types refuse but JavaScript callers can pass. */
const untyped = (value: unknown) => value as Tensor

afterAll(() => {
  x.dispose()
})

type Fault = readonly [what: string, run: () => unknown, message: RegExp]

const faults: Readonly<Record<string, readonly Fault[]>> = {
  NO_SUCH_OPERATOR: [
    ['an unknown operator', () => packet('no_such_thing')(x), /aten::no_such_thing/],
    ['an unknown namespace', () => ops.nowhere!.mm!(x, x), /nowhere::mm/],
    ['an unknown overload', () => ops.aten!.mm!.nowhere!(x, x), /aten::mm\.nowhere/],
    ['a bound unknown', () => bind('aten::nothing', 'here')(x), /aten::nothing\.here/],
  ],
  NO_MATCHING_OVERLOAD: [
    ['kinds that fit none', () => packet('add')(x, [1, 2]), /float32\[2, 3\].*\[1, 2\].*aten::add\.Tensor/],
    ['an unknown keyword', () => packet('add')(x, x, { gamma: 1 }), /gamma/],
    ['a word that is no dtype', () => packet('to')(x, 'float33'), /float33/],
    ['a word that is no device', () => packet('zeros')([1], { device: 'gpu' }), /\(\[1\], device: "gpu"\)/],
    ['a missing argument', () => packet('mm')(x), /aten::mm/],
    ['a keyword argument by position', () => packet('zeros')([1], 'float32'), /\(\[1\], "float32"\)/],
  ],
  MISSING_ARGUMENT: [['too few', () => mm(x), /`mat2`: is required/]],
  BAD_ARGUMENT: [
    ['too many', () => mm(x, x, x), /too many arguments for aten::mm\(/],
    ['an unknown keyword', () => add(x, x, { gamma: 1 }), /no argument `gamma` in aten::add/],
    ['one given twice', () => add(x, x, { other: x }), /`other` is given twice/],
    ['a list for a tensor', () => add(x, [1, 2]), /`other`: expected tensor/],
    ['a list for a dtype', () => bind('aten::to', 'dtype')(x, [6]), /`dtype`: expected dtype/],
    ['a number for a tensor', () => mm(x, 1), /`mat2`: expected tensor, received a number/],
    ['a bigint for a tensor', () => mm(x, 1n), /expected tensor, received a bigint/],
    ['a boolean for a tensor', () => mm(x, true), /expected tensor, received a boolean/],
    ['a generator for a tensor', () => mm(x, new Generator(0)), /received a generator/],
    ['a word for a tensor', () => mm(x, 'y'), /expected tensor, received "y"/],
    ['a list that holds itself', () => mm(x, untyped(loop)), /a list with object/],
    ['a text of two lines', () => mm(x, 'a\nb'), /received "a\\nb"/],
    ['null for a tensor', () => mm(x, null), /expected tensor, received null/],
    [
      'a function',
      () =>
        mm(
          x,
          untyped(() => x),
        ),
      /received function/,
    ],
    ['a bare object', () => mm(x, untyped(Object.create(null))), /received object/],
    ['a tensor for a list', () => cat(x), /`tensors`: expected tensor\[\]/],
    ['numbers for tensors', () => cat([1]), /`tensors`: expected tensor\[\].*number/],
    ['null among tensors', () => cat([x, null]), /`tensors`: expected tensor\[\]/],
    ['null among numbers', () => permute(x, untyped([0, null])), /list with null/],
    ['tensors for numbers', () => permute(x, [x, x]), /`dims`: expected int\[\]/],
    ['half an integer', () => triu(x, 0.5), /`diagonal`: expected an integer/],
    ['NaN for an integer', () => triu(x, NaN), /expected an integer/],
    ['a size of 2.5', () => zeros([2.5]), /`size`: expected an integer/],
    ['a number for a boolean', () => bind('aten::sum', 'dim_IntList')(x, 0, 1), /`keepdim`: expected bool/],
    ['a bigint beyond int64', () => triu(x, 2n ** 63n), /9223372036854775808/],
    ['the name of a dtype for an integer', () => triu(x, 'float32'), /`diagonal`: expected int/],
    ['an unknown dtype number', () => zeros([1], { dtype: 99 }), /`dtype`/],
    ['an unknown layout number', () => zeros([1], { layout: 77 }), /`layout`/],
    ['an unknown memory format', () => bind('aten::clone')(x, { memory_format: 9 }), /`memory_format`/],
  ],
  UNKNOWN_DEVICE: [['a word', () => zeros([1], { device: 'gpu' }), /unknown device "gpu"/]],
  TENSOR_DISPOSED: [
    ['a freed tensor', () => mm(x, freed), /`mat2`: use of a tensor that was already freed/],
    ['a freed tensor in a list', () => cat([x, freed]), /`tensors`/],
  ],
  TORCH_ERROR: [['shapes that do not fit', () => mm(x, x), /cannot be multiplied \(2x3 and 2x3\)/]],
  INDEX_ERROR: [['a wrong index', () => bind('aten::select', 'int')(x, 0, 5), /index 5 out of range/]],
  OUT_OF_MEMORY: [['more than any machine has', () => empty([2 ** 50]), /not enough memory/]],
  BUFFER_TOO_SMALL: [['a list beyond the buffer', () => zeros(Array(70_000).fill(1)), /shared buffer/]],
}

const rows = Object.entries(faults).flatMap(([code, list]) => list.map((fault) => [code, ...fault] as const))

describe('a failed call', () => {
  it.each(rows)('throws %s for %s', (code, _, run, message) => {
    const error = torchErrorOf(run)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('\n')
    expect(error.message).not.toMatch(/Exception raised|frame #|\.cpp/)
  })

  it('is an error of one line with a code, whatever was passed', () => {
    const operators = [mm, add, cat, zeros, triu, permute, packet('sum'), packet('to'), packet('clamp')]
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withNullPrototype: true, withTypedArray: true, withSparseArray: true }),
      fc.constantFrom(x, freed, Symbol('s'), new Generator(0), () => x),
    )
    fc.assert(
      fc.property(fc.constantFrom(...operators), fc.array(anything, { maxLength: 4 }), (operator, args) => {
        scope(() => {
          try {
            operator(...(args as Tensor[]))
          } catch (error) {
            expect(error).toBeInstanceOf(TorchError)
            expect((error as TorchError).code).toMatch(/^[A-Z][A-Z_]+$/)
            expect((error as TorchError).message).not.toContain('\n')
          }
        })
      }),
      { numRuns: 500 },
    )
  })

  it('names the operator and describes every argument', () => {
    const error = torchErrorOf(() => mm(x, ones([2, 2], { dtype: 'bfloat16' })))
    expect(error.context.op).toBe('aten::mm')
    expect(error.context.shapes).toEqual(['Tensor(float32[2, 3], cpu)', 'Tensor(bfloat16[2, 2], cpu)'])
    expect(error.message).toMatch(
      /^aten::mm\(Tensor\(float32\[2, 3\], cpu\), Tensor\(bfloat16\[2, 2\], cpu\)\): /,
    )
    expect(torchErrorOf(() => mm(x, freed)).context.shapes).toEqual([
      'Tensor(float32[2, 3], cpu)',
      'Tensor(disposed)',
    ])
  })

  it('keeps the native backtrace apart from the message', () => {
    const error = torchErrorOf(() => mm(x, x))
    expect(String(error.context.nativeBacktrace)).toMatch(/\n/)
    expect(torchErrorOf(() => mm(x, freed)).context).not.toHaveProperty('nativeBacktrace')
  })

  it('describes arguments whose dtype has no name here', () => {
    scope(() => {
      const complex = packet('complex')(ones([2]), ones([2])) as Tensor
      expect(codeOf(() => complex.dtype)).toBe('UNKNOWN_DTYPE')
      expect(torchErrorOf(() => mm(complex, x)).code).toBe('TORCH_ERROR')
    })
  })

  it('leaves nothing behind and the engine usable', () => {
    const before = memoryStats()
    for (const [, , run] of rows) expect(run).toThrow()
    scope(() => expect(valuesOf(mm(tensor([2], [1, 1]), tensor([3], [1, 1])))).toEqual([6]))
    const after = memoryStats()
    expect(after.allocatedBytes).toBe(before.allocatedBytes)
    expect(after.liveTensors).toBe(before.liveTensors)
    expect(after.liveTensors).toBeGreaterThan(liveAtStart)
  })
})
