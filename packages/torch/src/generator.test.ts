import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  empty,
  Generator,
  manualSeed,
  normal_,
  ones,
  openScope,
  type Scope,
  tensor,
  uniform_,
  zeros,
} from './index.js'
import { codeOf, valuesOf } from './testing/compare.test.fixture.js'

let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const draw = (generator?: Generator, count = 5) => valuesOf(uniform_(empty([count]), 0, 1, generator))
/** A length that leaves a normal number over in the generator's own cache. */
const drawNormal = (generator?: Generator, count = 5) => valuesOf(normal_(empty([count]), 0, 1, generator))

describe('a generator', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const numbers = draw(new Generator(7))
    expect(draw(new Generator(7))).toEqual(numbers)
    expect(draw(new Generator(8))).not.toEqual(numbers)
    expect(new Set(numbers).size).toBe(5)
  })

  it('continues its stream, and restarts it when seeded', () => {
    const generator = new Generator(7)
    const first = draw(generator)
    expect(draw(generator)).not.toEqual(first)
    generator.seed(7)
    expect(draw(generator)).toEqual(first)
  })

  it.each([
    ['uniform', draw],
    ['normal', drawNormal],
  ])('continues exactly from a state that was read: %s', (_, next) => {
    const generator = new Generator(3)
    next(generator, 7)
    const state = generator.state()
    const expected = [next(generator), next(generator, 2), next(generator)]
    next(generator, 100)
    generator.setState(state)
    expect([next(generator), next(generator, 2), next(generator)]).toEqual(expected)
    const other = new Generator(99)
    other.setState(tensor(Uint8Array.from(valuesOf(state)), state.shape))
    expect([next(other), next(other, 2), next(other)]).toEqual(expected)
  })

  it('does not disturb another one or the default', () => {
    const [a, b] = [new Generator(1), new Generator(1)]
    const alone = [draw(a), draw(a)]
    manualSeed(5)
    const defaultAlone = [draw(), draw()]
    manualSeed(5)
    const mixed = [draw(b), draw(), draw(b), draw()]
    expect(mixed).toEqual([alone[0], defaultAlone[0], alone[1], defaultAlone[1]])
  })

  it('has a state of bytes', () => {
    const state = new Generator(0).state()
    expect(state.dtype).toBe('uint8')
    expect(state.numel).toBeGreaterThan(1000)
  })

  it('refuses a state that is none', () => {
    const generator = new Generator(0)
    const before = generator.state()
    expect(codeOf(() => generator.setState(ones([3])))).toBe('TYPE_ERROR')
    expect(codeOf(() => generator.setState(zeros([3], { dtype: 'uint8' })))).toBe('TORCH_ERROR')
    expect(valuesOf(generator.state())).toEqual(valuesOf(before))
  })

  it.each([-1, 0.5, NaN, 2 ** 53])('refuses the seed %s', (seed) => {
    expect(codeOf(() => new Generator(seed))).toBe('BAD_ARGUMENT')
    expect(codeOf(() => new Generator(0).seed(seed))).toBe('BAD_ARGUMENT')
    expect(codeOf(() => manualSeed(seed))).toBe('BAD_ARGUMENT')
  })

  it('tells seeds of 32 bits apart', () => {
    const seeds = [0, 1, 2 ** 31, 2 ** 32 - 1]
    expect(new Set(seeds.map((seed) => draw(new Generator(seed)).join())).size).toBe(seeds.length)
  })
})

describe('manualSeed', () => {
  it('restarts the default generator', () => {
    manualSeed(11)
    const first = drawNormal()
    manualSeed(11)
    expect(drawNormal()).toEqual(first)
    expect(drawNormal()).not.toEqual(first)
  })
})
