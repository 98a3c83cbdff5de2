import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { backward, memoryStats, mul, nn, ones, scope, sum, type Tensor, tensor } from '../index.js'
import { codeOf, valuesOf } from '../testing/compare.test.fixture.js'

class Block extends nn.Module {
  readonly norm = new nn.RMSNorm(3)
  readonly proj: nn.Linear

  constructor(bias = false) {
    super()
    this.proj = new nn.Linear(3, 3, { bias })
  }

  forward(x: Tensor): Tensor {
    return this.proj.run(this.norm.run(x))
  }
}

class Model extends nn.Module<[Tensor, number], Tensor[]> {
  readonly embed = new nn.Embedding(5, 3)
  readonly layers = [new Block(), new Block(true)]
  readonly scale = new nn.Parameter(ones([1]), { requiresGrad: false })
  readonly head = new nn.Linear(3, 5)
  readonly notes = { text: 'no module', list: [1, 2] }

  constructor({ tied = false } = {}) {
    super()
    if (tied) {
      this.head.weight.dispose()
      Object.assign(this.head, { weight: this.embed.weight })
    }
  }

  forward(ids: Tensor, factor: number): Tensor[] {
    const hidden = this.layers.reduce((x, layer) => layer.run(x), this.embed.run(ids))
    return [mul(this.head.run(hidden), factor), hidden]
  }
}

const NAMES = [
  'scale',
  'embed.weight',
  'layers.0.norm.weight',
  'layers.0.proj.weight',
  'layers.1.norm.weight',
  'layers.1.proj.weight',
  'layers.1.proj.bias',
  'head.weight',
]
const names = (model: Model) => Array.from(model.namedParameters(), ([name]) => name)
let liveBefore = 0

beforeEach(() => {
  liveBefore = memoryStats().liveTensors
})
afterEach(() => {
  expect(memoryStats().liveTensors).toBe(liveBefore)
})

describe('parameters', () => {
  it('are named by their path, own fields before those of children', () => {
    const model = new Model()
    expect(names(model)).toEqual(NAMES)
    expect(Array.from(model.namedParameters('model.'), ([name]) => name)[1]).toBe('model.embed.weight')
    expect(model.parameters()).toHaveLength(8)
    expect(model.numParameters).toBe(1 + 15 + 2 * (3 + 9) + 3 + 15)
    // The scale is frozen.
    expect(model.numTrainableParameters).toBe(model.numParameters - 1)
    const [first] = model.trainableParameters()
    first!.setRequiresGrad(false)
    expect(model.numTrainableParameters).toBe(model.numParameters - 1 - first!.numel)
    model.dispose()
  })

  it('that are tied appear once, under their first name', () => {
    const model = new Model({ tied: true })
    expect(model.head.weight).toBe(model.embed.weight)
    expect(names(model)).toEqual(NAMES.slice(0, -1))
    expect(model.numParameters).toBe(1 + 15 + 2 * (3 + 9) + 3)
    model.dispose()
  })

  it('require gradients unless told otherwise', () => {
    const model = new Model()
    const without = Array.from(model.namedParameters()).filter(([, parameter]) => !parameter.requiresGrad)
    expect(without.map(([name]) => name)).toEqual(['scale'])
    model.dispose()
  })

  it('outlive the scope they were made in', () => {
    let made: Model | undefined
    scope(() => {
      made = new Model()
    })
    const model = made!
    expect(model.parameters().every(({ isDisposed }) => !isDisposed)).toBe(true)
    model.dispose()
  })
})

describe('run', () => {
  it('frees temporaries and hands on what forward returns', () => {
    const model = new Model()
    const ids = tensor([1, 2], [2], { dtype: 'int64' })
    const before = memoryStats().liveTensors
    const [logits, hidden] = model.run(ids, 2)
    expect(memoryStats().liveTensors).toBe(before + 2)
    expect([logits!.shape, hidden!.shape]).toEqual([
      [2, 5],
      [2, 3],
    ])
    for (const one of [logits!, hidden!, ids]) one.dispose()
    model.dispose()
  })
})

describe('train and eval', () => {
  it('reach every child', () => {
    const model = new Model()
    const modes = () => [model.training, model.layers[1]!.training, model.layers[1]!.norm.training]
    expect(modes()).toEqual([true, true, true])
    expect(model.eval()).toBe(model)
    expect(modes()).toEqual([false, false, false])
    expect(model.train()).toBe(model)
    expect(modes()).toEqual([true, true, true])
    model.dispose()
  })
})

describe('to', () => {
  it('converts every parameter and keeps values, ties and requiresGrad', () => {
    const model = new Model({ tied: true })
    const old = model.parameters()
    expect(model.to({ dtype: 'bfloat16' })).toBe(model)
    expect(new Set(model.parameters().map(({ dtype }) => dtype))).toEqual(new Set(['bfloat16']))
    expect(model.head.weight).toBe(model.embed.weight)
    expect(names(model)).toEqual(NAMES.slice(0, -1))
    expect([model.scale.requiresGrad, model.head.weight.requiresGrad]).toEqual([false, true])
    expect(valuesOf(model.layers[0]!.norm.weight)).toEqual([1, 1, 1])
    expect(old.every(({ isDisposed }) => isDisposed)).toBe(true)
    expect(model.embed.weight).toBeInstanceOf(nn.Parameter)
    model.dispose()
  })

  it('leaves as many tensors as there were, inside and outside a scope', () => {
    const model = new Model()
    const before = memoryStats()
    model.to({ dtype: 'bfloat16' })
    scope(() => model.to({ dtype: 'float32', device: 'cpu' }))
    expect(memoryStats().liveTensors).toBe(before.liveTensors)
    expect(memoryStats().allocatedBytes).toBe(before.allocatedBytes)
    expect(valuesOf(model.scale)).toEqual([1])
    model.dispose()
  })

  it('leaves parameters of whole numbers as they are', () => {
    const model = new Model()
    const ids = new nn.Parameter(tensor([1], [1], { dtype: 'int64' }), { requiresGrad: false })
    Object.assign(model, { ids })
    model.to({ dtype: 'float64' })
    expect((model as unknown as { ids: Tensor }).ids.dtype).toBe('int64')
    expect(model.embed.weight.dtype).toBe('float64')
    model.dispose()
  })
})

describe('gradients and disposal', () => {
  it('drops gradients and frees everything, twice if need be', () => {
    const { allocatedBytes } = memoryStats()
    const model = new Model()
    scope(() => {
      const loss = scope(() => sum(model.run(tensor([0], [1], { dtype: 'int64' }), 1)[0]!))
      backward([loss])
      expect(model.head.weight.grad).toBeDefined()
      model.zeroGrad()
      expect(model.parameters().map(({ grad }) => grad)).toEqual(Array(8).fill(undefined))
      backward([scope(() => sum(model.run(tensor([0], [1], { dtype: 'int64' }), 1)[0]!))])
    })
    model.dispose()
    expect(memoryStats().allocatedBytes).toBe(allocatedBytes)
    expect(model.head.weight.isDisposed).toBe(true)
    expect(codeOf(() => model.head.run(model.embed.weight))).toBe('TENSOR_DISPOSED')
  })
})
