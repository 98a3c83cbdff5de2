import { describe, expect, it } from 'vitest'
import { figuresOf, judgeSignal, type SourceRoles } from './signal-figures.js'

const N = 200
const ROLES: SourceRoles = { target: ['t'], sibling: ['s'], noise: ['n'] }
const NONE: SourceRoles = { target: [], sibling: [], noise: [] }
const sources = Array.from({ length: N }, (_, i) =>
  i % 5 === 0 ? 't' : i % 5 === 1 ? 's' : i % 5 < 4 ? 'n' : 'o',
)

/** The same numbers in [0, 1) at every call. */
function randoms(seed: number, count: number): Float64Array {
  let state = seed
  return Float64Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  })
}

/** An influence that prefers the target. */
const dot = randoms(5, N).map((value, i) => value + (sources[i] === 't' ? 1 : 0))
const influence = { dot, cosine: dot.map((value) => value / 3) }
const anchored = (drawn: Float64Array, heldOut: number[]) => ({ drawn, parts: [{ drawn, heldOut }] })

describe('a perfect signal', () => {
  const figures = figuresOf(anchored(dot, [3, 4, 5, 3, 4, 5, 3, 4, 5]), sources, ROLES, influence)

  it('has every area and its correlation at 1', () => {
    expect(figures.rest!.value).toBeCloseTo(1, 12)
    expect([figures.sibling!.value, figures.noise!.value, figures.anchors.value]).toEqual([1, 1, 1])
    expect(figures.influence!.dot.value).toBeCloseTo(1, 12)
    expect(figures.rest).toMatchObject({ positives: 40, negatives: 160 })
    expect(figures.noise).toMatchObject({ positives: 40, negatives: 80 })
  })

  it('is worth training with, among many too', () => {
    expect(judgeSignal(figures, 30)).toEqual({ isWorth: true, says: 'worth training with' })
  })
})

describe('a useless signal', () => {
  it('is as good as random in 95 of 100 audits and more, with any number of signals', () => {
    let worth = 0
    let named = 0
    for (let t = 1; t <= 200; t++) {
      const drawn = randoms(1000 + 7919 * t, N + 10)
      const figures = figuresOf(anchored(drawn.slice(0, N), [...drawn.slice(N)]), sources, ROLES, influence)
      const { isWorth, says } = judgeSignal(figures, 1)
      if (isWorth) worth += 1
      if (says === 'as good as random') named += 1
    }
    expect(worth).toBeLessThan(6)
    expect(named).toBeGreaterThan(180)
  })

  it('that is turned round is told apart from one that is random', () => {
    const figures = figuresOf(
      anchored(
        dot.map((value) => -value),
        [-9, -9, -9, -9, -9, -9],
      ),
      sources,
      ROLES,
      influence,
    )
    expect(judgeSignal(figures, 1)).toEqual({ isWorth: false, says: 'puts the target last' })
    const unnamed = figuresOf(
      anchored(
        dot.map((value) => -value),
        [-9, -9, -9, -9, -9, -9],
      ),
      sources,
      NONE,
      influence,
    )
    expect(judgeSignal(unnamed, 1).says).toBe('puts the anchors last')
  })

  it('that finds the target without the gradient is not worth it, nor the other way round', () => {
    const against = figuresOf(anchored(dot, []), sources, ROLES, {
      dot: dot.map((value) => -value),
      cosine: dot,
    })
    expect(judgeSignal(against, 1).says).toBe('goes against the gradient')
    const random = randoms(77, N)
    const unseen = figuresOf(anchored(dot, []), sources, ROLES, { dot: random, cosine: random })
    expect(judgeSignal(unseen, 1).says).toBe('not seen in the gradient')
    const blind = figuresOf(anchored(random, []), sources, ROLES, { dot: random, cosine: random })
    expect(judgeSignal(blind, 1).says).toBe('does not find the target')
  })

  it('needs no gradient to be judged where none was taken', () => {
    expect(judgeSignal(figuresOf(anchored(dot, []), sources, ROLES), 1).isWorth).toBe(true)
  })
})

describe('figuresOf', () => {
  it('compares the first samples with an influence of fewer', () => {
    const few = { dot: dot.slice(0, 50), cosine: dot.slice(0, 50) }
    expect(figuresOf(anchored(dot, []), sources, NONE, few).influence!.dot).toMatchObject({ pairs: 50 })
  })

  it('says how two halves agree', () => {
    const parts = [dot, dot.map((value) => value ** 3)].map((drawn) => ({ drawn, heldOut: [2] }))
    expect(figuresOf({ drawn: dot, parts }, sources, NONE).splitHalf).toBeCloseTo(1, 12)
  })
})
