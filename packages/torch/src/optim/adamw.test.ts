import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  clone,
  copy_,
  equal,
  hasOperator,
  memoryStats,
  nn,
  noGrad,
  ones,
  openScope,
  optim,
  type Scope,
  type Tensor,
  tensor,
  zeros,
} from '../index.js'
import { codeOf, relativeError, valuesOf } from '../testing/compare.test.fixture.js'
import { openGolden } from '../testing/golden.test.fixture.js'

const golden = openGolden('ops')
const NAMES = ['matrix', 'vector'] as const
const OPTIONS = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 }
const paths = [
  { path: 'foreach', fused: false },
  ...(hasOperator('aten::_fused_adamw_') ? [{ path: 'fused', fused: true }] : []),
]
let all: Scope
const parameters: nn.Parameter[] = []
const optimizers: optim.AdamW[] = []

beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  for (const parameter of parameters.splice(0)) {
    if (!parameter.isDisposed) parameter.grad = undefined
    parameter.dispose()
  }
  for (const optimizer of optimizers.splice(0)) optimizer.dispose()
  all[Symbol.dispose]()
})

function parameterOf(data: Tensor): nn.Parameter {
  const parameter = new nn.Parameter(data)
  parameters.push(parameter)
  return parameter
}

function createOptimizer(
  groups: readonly optim.ParameterGroup[],
  options: optim.AdamWOptions = {},
): optim.AdamW {
  const optimizer = new optim.AdamW(groups, options)
  optimizers.push(optimizer)
  return optimizer
}

const start = () => NAMES.map((name) => parameterOf(golden.tensor(`adamw.${name}.start`)))
const setGradients = (list: readonly nn.Parameter[], step: number) => {
  for (const [i, parameter] of list.entries())
    parameter.grad = golden.tensor(`adamw.${NAMES[i]}.grad_${step}`)
}

describe.each(paths)('AdamW by its $path operators', ({ fused }) => {
  it.each([
    ['plain', 0],
    ['decay', 0.1],
  ])('follows the reference step by step: %s', (kind, weightDecay) => {
    const list = start()
    const optimizer = createOptimizer([{ parameters: list, weightDecay }], { ...OPTIONS, fused })
    for (let step = 0; step < 5; step++) {
      setGradients(list, step)
      optimizer.step()
      for (const [i, name] of NAMES.entries()) {
        const error = relativeError(list[i]!, golden.tensor(`adamw_${kind}.${name}.after_${step}`))
        expect(error, `${name} after ${step}`).toBeLessThan(golden.tolerance)
      }
    }
    const { steps, tensors } = optimizer.state()
    expect(steps).toEqual([5, 5])
    for (const [i, name] of NAMES.entries()) {
      for (const moment of ['exp_avg', 'exp_avg_sq']) {
        const error = relativeError(
          tensors.get(`${moment}.${i}`)!,
          golden.tensor(`adamw_${kind}.${name}.${moment}`),
        )
        expect(error, `${name} ${moment}`).toBeLessThan(golden.tolerance)
      }
    }
  })

  it('gives every group its own decay', () => {
    const list = start()
    const groups = [
      { parameters: [list[0]!], weightDecay: 0.1 },
      { parameters: [list[1]!], weightDecay: 0 },
    ]
    const optimizer = createOptimizer(groups, { ...OPTIONS, fused })
    for (let step = 0; step < 5; step++) {
      setGradients(list, step)
      optimizer.step()
    }
    expect(relativeError(list[0]!, golden.tensor('adamw_decay.matrix.after_4'))).toBeLessThan(
      golden.tolerance,
    )
    expect(relativeError(list[1]!, golden.tensor('adamw_plain.vector.after_4'))).toBeLessThan(
      golden.tolerance,
    )
  })

  it('leaves a parameter without a gradient alone, and counts its steps apart', () => {
    const list = start()
    const optimizer = createOptimizer([{ parameters: list, weightDecay: 0.1 }], { ...OPTIONS, fused })
    setGradients(list, 0)
    list[0]!.grad = undefined
    optimizer.step()
    expect(equal(list[0]!, golden.tensor('adamw.matrix.start'))).toBe(true)
    expect(optimizer.state().steps).toEqual([0, 1])
    list[0]!.grad = golden.tensor('adamw.matrix.grad_0')
    list[1]!.grad = golden.tensor('adamw.vector.grad_1')
    optimizer.step()
    expect(optimizer.state().steps).toEqual([1, 2])
    const errors = [
      relativeError(list[0]!, golden.tensor('adamw_decay.matrix.after_0')),
      relativeError(list[1]!, golden.tensor('adamw_decay.vector.after_1')),
    ]
    for (const error of errors) expect(error).toBeLessThan(golden.tolerance)
  })

  it('continues bit for bit from the state it saved', () => {
    const whole = start()
    const reference = createOptimizer([{ parameters: whole, weightDecay: 0.1 }], { ...OPTIONS, fused })
    const resumed = start()
    for (let step = 0; step < 5; step++) {
      setGradients(whole, step)
      reference.step()
      if (step !== 2) continue
      const saved = reference.state()
      const next = createOptimizer([{ parameters: resumed, weightDecay: 0.1 }], { ...OPTIONS, fused })
      next.loadSteps(saved.steps)
      for (const [name, moment] of next.state().tensors) copy_(moment, saved.tensors.get(name)!)
      for (const [i, parameter] of resumed.entries()) noGrad(() => copy_(parameter, whole[i]!))
    }
    const next = optimizers.at(-1)!
    for (const step of [3, 4]) {
      setGradients(resumed, step)
      next.step()
    }
    expect(resumed.map((parameter, i) => equal(parameter, whole[i]!))).toEqual([true, true])
    expect(next.state().steps).toEqual([5, 5])
  })

  it('uses a learning rate that changes between steps', () => {
    const p = parameterOf(ones([2, 2]))
    const optimizer = createOptimizer([{ parameters: [p], weightDecay: 0 }], { ...OPTIONS, fused })
    optimizer.learningRate = 0
    p.grad = ones([2, 2])
    optimizer.step()
    expect(valuesOf(p)).toEqual([1, 1, 1, 1])
    optimizer.learningRate = 0.5
    optimizer.step()
    expect(relativeError(p, tensor(Array(4).fill(0.5), [2, 2]))).toBeLessThan(1e-6)
  })

  it('updates tensors larger than a block as it updates small ones', () => {
    const count = 300_000
    const large = parameterOf(ones([count]))
    const small = [parameterOf(ones([3])), parameterOf(ones([5])), parameterOf(ones([0]))]
    const list = [...small, large]
    for (const p of list) p.grad = ones(p.shape)
    createOptimizer([{ parameters: list, weightDecay: 0.1 }], { ...OPTIONS, fused }).step()
    const updated = valuesOf(small[0]!)[0]!
    expect(Math.abs(updated - (1 - 1e-3 - 1e-2))).toBeLessThan(1e-6)
    const values = valuesOf(large)
    expect([Math.min(...values.slice(0, 1000)), values.at(-1), valuesOf(small[1]!)[4]]).toEqual(
      Array(3).fill(updated),
    )
  })

  it('leaves no tensors behind and changes no graph', () => {
    const p = parameterOf(ones([2, 2]))
    p.grad = ones([2, 2])
    const optimizer = createOptimizer([{ parameters: [p], weightDecay: 0.1 }], { fused })
    const before = memoryStats().liveTensors
    optimizer.step()
    expect(memoryStats().liveTensors).toBe(before)
    expect(p.requiresGrad).toBe(true)
  })
})

describe('AdamW', () => {
  it('leaves out parameters that need no gradient', () => {
    const frozen = new nn.Parameter(ones([2]), { requiresGrad: false })
    parameters.push(frozen)
    const p = parameterOf(ones([2]))
    const optimizer = createOptimizer([{ parameters: [frozen, p], weightDecay: 0 }])
    expect(optimizer.parameters).toEqual([p])
    expect([...optimizer.state().tensors.keys()]).toEqual(['exp_avg.0', 'exp_avg_sq.0'])
  })

  it('refuses the state of other parameters', () => {
    const optimizer = createOptimizer([{ parameters: start(), weightDecay: 0 }])
    expect(codeOf(() => optimizer.loadSteps([1]))).toBe('STATE_MISMATCH')
    expect(optimizer.state().steps).toEqual([0, 0])
  })

  it('frees its moments', () => {
    const p = parameterOf(ones([2]))
    const before = memoryStats().liveTensors
    const optimizer = createOptimizer([{ parameters: [p], weightDecay: 0 }])
    expect(memoryStats().liveTensors).toBe(before + 2)
    optimizer.dispose()
    optimizer.dispose()
    expect(memoryStats().liveTensors).toBe(before)
  })
})

describe('decayGroups', () => {
  it('decays matrices only', () => {
    const list = [zeros([2, 2]), zeros([3]), zeros([2, 1, 1]), zeros([])].map((data) =>
      parameterOf(clone(data)),
    )
    const [decayed, plain] = optim.decayGroups(list, 0.1)
    expect(decayed).toEqual({ parameters: [list[0], list[2]], weightDecay: 0.1 })
    expect(plain).toEqual({ parameters: [list[1], list[3]], weightDecay: 0 })
  })
})
