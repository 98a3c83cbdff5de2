import { describe, expect, it } from 'vitest'
import { fitBoostedTrees } from './boosted-trees.js'

const ROWS = [
  [0.8, 0.1, 0.1],
  [0.1, 0.8, 0.1],
  [0.1, 0.1, 0.8],
  [0.4, 0.3, 0.3],
  [0.2, 0.5, 0.3],
]
const TARGETS = [3.2, 3.6, 3.9, 3.4, 3.55]
const STUMP = { learningRate: 0.01, maxTrees: 1, maxLeaves: 2, minLeaf: 1 }

describe('fitBoostedTrees', () => {
  it('grows the worked stump: base 3.53, a border at p_1 = 0.3', () => {
    const fit = fitBoostedTrees(ROWS, TARGETS, STUMP)
    expect(fit.predict([1, 0, 0], 0)).toBeCloseTo(3.53, 12)
    for (const [i, expected] of [3.5277, 3.531533, 3.531533, 3.5277, 3.531533].entries())
      expect(fit.predict(ROWS[i]!)).toBeCloseTo(expected, 6)
    expect(fit.predict([0.3, 0, 0])).toBeCloseTo(3.531533, 6)
    expect(fit.predict([0.300001, 0, 0])).toBeCloseTo(3.5277, 6)
  })

  it('comes as close to the targets as its trees allow, and grows none on what has no difference', () => {
    const many = fitBoostedTrees(ROWS, TARGETS, { ...STUMP, learningRate: 0.5, maxLeaves: 31, maxTrees: 60 })
    for (const [i, target] of TARGETS.entries()) expect(many.predict(ROWS[i]!)).toBeCloseTo(target, 9)
    expect(fitBoostedTrees(ROWS, [2, 2, 2, 2, 2], { ...STUMP, maxTrees: 9 }).numTrees).toBe(0)
    const same = ROWS.map(() => [1, 1, 1])
    expect(fitBoostedTrees(same, TARGETS, { ...STUMP, maxTrees: 9 }).numTrees).toBe(0)
  })

  it('holds as many rows in a leaf as it is told', () => {
    expect(fitBoostedTrees(ROWS, TARGETS, { ...STUMP, minLeaf: 3 }).numTrees).toBe(0)
    const fit = fitBoostedTrees(ROWS, TARGETS, { ...STUMP, minLeaf: 2, maxLeaves: 31, learningRate: 1 })
    const leaves = new Map<number, number>()
    for (const row of ROWS) leaves.set(fit.predict(row), (leaves.get(fit.predict(row)) ?? 0) + 1)
    expect(Math.min(...leaves.values())).toBeGreaterThanOrEqual(2)
  })

  it('takes the first of two columns that part the rows alike, whatever rounding says', () => {
    const rows = [0.1, 0.2, 0.3, 0.7, 0.8, 0.9].map((x) => [3 * x, x])
    const targets = [0.1, 0.3, 0.2, 1.1, 0.7, 0.9].map((y) => y / 3)
    const fit = fitBoostedTrees(rows, targets, { ...STUMP, learningRate: 1 })
    expect(fit.predict([0, 1])).not.toBe(fit.predict([9, 1]))
    expect(fit.predict([0, 0])).toBe(fit.predict([0, 1]))
  })

  it('stops when trees no longer help rows that it does not see, and keeps the best ones', () => {
    const heldOut = { rows: [[0.9, 0, 0.1]], targets: [3.528], patience: 3 }
    const fit = fitBoostedTrees(ROWS, TARGETS, { ...STUMP, maxTrees: 100 }, heldOut)
    expect(fit.numTrees).toBe(1)
    expect(fit.heldOutErrors).toHaveLength(1 + 1 + 3)
    const all = fitBoostedTrees(ROWS, TARGETS, { ...STUMP, maxTrees: 9 }, { ...heldOut, patience: Infinity })
    expect([all.numTrees, all.heldOutErrors.length]).toEqual([9, 10])
    expect(all.heldOutErrors[1]).toBeCloseTo((all.predict([0.9, 0, 0.1], 1) - 3.528) ** 2, 12)
  })

  it('refuses to fit nothing', () => {
    expect(() => fitBoostedTrees([], [], STUMP)).toThrow(RangeError)
    expect(() => fitBoostedTrees(ROWS, [1], STUMP)).toThrow(/each with a target/)
  })
})
