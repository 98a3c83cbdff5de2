import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  autocast,
  backward,
  equal,
  Generator,
  memoryStats,
  mul,
  nn,
  noGrad,
  normal_,
  openScope,
  type Scope,
  scope,
  silu,
  sum,
  type Tensor,
  zeros,
} from '../index.js'
import { codeOf } from '../testing/compare.test.fixture.js'

/** x + W2 silu(W1 norm(x)), the shape of a transformer's block. */
class Block extends nn.Module {
  readonly norm = new nn.RMSNorm(16)
  readonly up = new nn.Linear(16, 24, { bias: true })
  readonly down = new nn.Linear(24, 16)

  forward(x: Tensor): Tensor {
    return add(x, this.down.run(silu(this.up.run(this.norm.run(x)))))
  }
}

class Stack extends nn.Module {
  readonly blocks = [new Block(), new Block(), new Block()]

  constructor(generator: Generator) {
    super()
    for (const parameter of this.parameters()) noGrad(() => normal_(parameter, 0, 0.3, generator))
  }

  forward(x: Tensor): Tensor {
    return this.blocks.reduce((y, block) => block.run(y), x)
  }
}

let all: Scope
let model: Stack
let x: Tensor
let gradient: Tensor
beforeEach(() => {
  all = openScope()
  const generator = new Generator(4)
  model = new Stack(generator)
  x = normal_(zeros([5, 16]), 0, 1, generator).setRequiresGrad()
  gradient = normal_(zeros([5, 16]), 0, 1, generator)
})
afterEach(() => {
  model.dispose()
  x.grad = undefined
  all[Symbol.dispose]()
})

const segments = () => model.blocks.map((block) => (input: Tensor) => block.forward(input))

function takeGradients(): Tensor[] {
  const taken = model.parameters().map((parameter) => parameter.grad!)
  model.zeroGrad()
  return taken
}

const wraps = {
  'in float32': <T>(fn: () => T): T => fn(),
  'under bfloat16 autocast': <T>(fn: () => T): T => autocast('cpu', 'bfloat16', fn),
}

describe.each(Object.entries(wraps))('a checkpointed pass %s', (_, wrap) => {
  it('gives the output and gradients of the plain pass bit for bit', () => {
    const plain = wrap(() => model.run(x))
    backward([plain], [gradient])
    const expected = takeGradients()

    const pass = nn.runCheckpointed(segments(), x, wrap)
    const dx = pass.backward(gradient)!
    const actual = takeGradients()
    expect(equal(pass.output, plain)).toBe(true)
    expect(equal(dx, x.grad!)).toBe(true)
    expect(actual).toHaveLength(12)
    expect(actual.map((one, i) => equal(one, expected[i]!))).toEqual(Array(12).fill(true))
    expect(sum(mul(dx, dx)).item()).toBeGreaterThan(0)
  })
})

describe('a checkpointed pass', () => {
  it('keeps only the inputs of its segments', () => {
    const before = memoryStats()
    const pass = nn.runCheckpointed(segments(), x)
    expect(memoryStats().liveTensors - before.liveTensors).toBe(4)
    expect(memoryStats().allocatedBytes - before.allocatedBytes).toBe(3 * 5 * 16 * 4)
    expect(pass.output.requiresGrad).toBe(false)
    scope(() => void pass.backward(gradient))
    model.zeroGrad()
    expect(memoryStats().liveTensors - before.liveTensors).toBe(1)
    expect(memoryStats().allocatedBytes - before.allocatedBytes).toBe(5 * 16 * 4)
  })

  it('does the same inside noGrad', () => {
    const outside = nn.runCheckpointed(segments(), x)
    const expected = outside.backward(gradient)!
    const inside = noGrad(() => nn.runCheckpointed(segments(), x).backward(gradient))!
    expect(equal(inside, expected)).toBe(true)
    model.zeroGrad()
  })

  it('makes no gradient for an input that needs none, and passes over frozen segments below the first trained one', () => {
    const frozen = zeros([5, 16])
    const [first, ...rest] = model.blocks
    const blocks = [
      (input: Tensor) => mul(input, 2),
      ...[first!, ...rest].map((block) => (input: Tensor) => block.forward(input)),
    ]
    const pass = nn.runCheckpointed(blocks, frozen)
    expect(pass.backward(gradient)).toBeUndefined()
    expect(first!.parameters().every((parameter) => parameter.grad !== undefined)).toBe(true)
    model.zeroGrad()
  })

  it('says which segment does not depend on its input', () => {
    const constant = zeros([5, 16]).setRequiresGrad()
    const pass = nn.runCheckpointed([(input) => add(input, 1), () => mul(constant, 2)], x)
    expect(codeOf(() => pass.backward(gradient))).toBe('NO_GRADIENT')
    constant.grad = undefined
  })
})
