import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  copy_,
  memoryStats,
  mul,
  nn,
  noGrad,
  openScope,
  optim,
  type Scope,
  scope,
  sum,
  tensor,
} from '../index.js'
import { codeOf } from '../testing/compare.test.fixture.js'

const STARTS = [
  [
    [0.5, -1.25],
    [3, 1e-3],
  ],
  [[7, -0.125, 1e4]],
].map((rows) => rows.flat())
/** What the "optimiser" adds in each update. */
const MOVES = [0.25, -1.5, 3, 1e-4, 0.75]

let all: Scope
let parameters: nn.Parameter[]
beforeEach(() => {
  all = openScope()
  parameters = STARTS.map((values) => new nn.Parameter(tensor(Float32Array.from(values), [values.length])))
})
afterEach(() => {
  for (const parameter of parameters) parameter.dispose()
  all[Symbol.dispose]()
})

const move = (by: number) =>
  noGrad(() => {
    for (const parameter of parameters) scope(() => void copy_(parameter, add(parameter, by)))
  })
const values = () => parameters.map((parameter) => [...parameter.toFloat32Array()])
const f = Math.fround

describe('ExponentialMovingAverage', () => {
  it.each([0.5, 0.9, 0.999])('with decay %d is the recurrence written out in float32', (decay) => {
    const average = new optim.ExponentialMovingAverage(parameters, decay)
    const expected = STARTS.map((start) => start.map(f))
    for (const by of MOVES) {
      move(by)
      average.update()
      for (const [i, now] of values().entries())
        for (const [j, p] of now.entries()) {
          // One rounding for the product with d, one for the sum, in which the product with 1 - d may be fused.
          const kept = f(f(decay) * expected[i]![j]!)
          expected[i]![j] = f(kept + f(f(1 - decay) * p))
        }
    }
    for (const [i, found] of average.tensors.entries())
      for (const [j, value] of [...found.toFloat32Array()].entries())
        expect(Math.abs(value - expected[i]![j]!)).toBeLessThanOrEqual(4e-7 * Math.abs(expected[i]![j]!))
    average.dispose()
  })

  it('lends its values to the parameters, and both come back to the bit', () => {
    const average = new optim.ExponentialMovingAverage(parameters, 0.9)
    move(1)
    average.update()
    const [own, averaged] = [values(), average.tensors.map((one) => [...one.toFloat32Array()])]
    expect(averaged).not.toEqual(own)
    const before = memoryStats()
    {
      using _weights = average.lend()
      expect(values()).toEqual(averaged)
      expect(codeOf(() => average.update())).toBe('AVERAGE_LENT')
      expect(codeOf(() => average.lend())).toBe('AVERAGE_LENT')
      expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes)
    }
    expect(values()).toEqual(own)
    expect(average.tensors.map((one) => [...one.toFloat32Array()])).toEqual(averaged)
    expect(memoryStats().liveTensors).toBe(before.liveTensors)
    average.dispose()
  })

  it('gives the parameters back when what they were lent for fails', () => {
    const average = new optim.ExponentialMovingAverage(parameters, 0.9)
    move(1)
    const own = values()
    const failing = () => {
      using _weights = average.lend()
      throw new Error('no room')
    }
    expect(failing).toThrow('no room')
    expect(values()).toEqual(own)
    average.dispose()
  })

  it('is no part of a graph, leaves nothing behind and frees its tensors', () => {
    const before = memoryStats().liveTensors
    const average = new optim.ExponentialMovingAverage(parameters, 0.9)
    expect(memoryStats().liveTensors).toBe(before + 2)
    scope(() => {
      sum(mul(parameters[0]!, parameters[0]!))
      average.update()
    })
    expect(average.tensors.map(({ requiresGrad }) => requiresGrad)).toEqual([false, false])
    expect(parameters.map(({ requiresGrad }) => requiresGrad)).toEqual([true, true])
    expect(memoryStats().liveTensors).toBe(before + 2)
    average.dispose()
    average.dispose()
    expect(memoryStats().liveTensors).toBe(before)
  })

  it('refuses decays that average nothing, and parameters of another dtype', () => {
    for (const decay of [0, 1, -0.5, 1.1, Number.NaN])
      expect(codeOf(() => new optim.ExponentialMovingAverage(parameters, decay))).toBe('BAD_ARGUMENT')
    const half = nn.withParameterDefaults({ dtype: 'bfloat16' }, () => new nn.Linear(2, 2))
    expect(codeOf(() => new optim.ExponentialMovingAverage([half.weight], 0.9))).toBe('BAD_ARGUMENT')
    half.dispose()
  })
})
