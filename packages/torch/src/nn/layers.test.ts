import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  backward,
  copy_,
  type DType,
  indexSelect,
  nn,
  noGrad,
  ones,
  openScope,
  reshape,
  type Scope,
  type Tensor,
  tensor,
  toDType,
  unsqueeze,
} from '../index.js'
import { relativeError, valuesOf } from '../testing/compare.test.fixture.js'
import { openGolden } from '../testing/golden.test.fixture.js'

const golden = openGolden('ops')
const rope = openGolden<Record<string, { frequencies: number[] }>>('rope')
let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

function expectGolden(actual: Tensor | undefined, name: string): void {
  expect(actual, name).toBeDefined()
  expect(relativeError(actual!, golden.tensor(name)), name).toBeLessThan(golden.tolerance)
}

const load = (parameter: Tensor, name: string) => void noGrad(() => copy_(parameter, golden.tensor(name)))

describe('Linear', () => {
  it('gives the outputs and gradients of the reference', () => {
    const layer = new nn.Linear(8, 6, { bias: true })
    load(layer.weight, 'linear.weight')
    load(layer.bias!, 'linear.bias')
    const x = golden.tensor('linear.x').setRequiresGrad()
    const y = layer.run(x)
    expectGolden(y, 'linear.y')
    backward([y], [golden.tensor('linear.grad_y')])
    expectGolden(x.grad, 'linear.grad_x')
    expectGolden(layer.weight.grad, 'linear.grad_weight')
    expectGolden(layer.bias!.grad, 'linear.grad_bias')
    layer.dispose()
  })

  it('has no bias unless asked for', () => {
    const layer = new nn.Linear(8, 6)
    expect(layer.bias).toBeUndefined()
    load(layer.weight, 'linear.weight')
    expectGolden(layer.run(golden.tensor('linear.x')), 'linear.y_no_bias')
    layer.dispose()
  })

  it('starts at zero', () => {
    const layer = new nn.Linear(3, 2, { bias: true })
    expect(valuesOf(layer.weight)).toEqual(Array(6).fill(0))
    expect(valuesOf(layer.run(ones([1, 3])))).toEqual([0, 0])
    layer.dispose()
  })
})

describe('Embedding', () => {
  it('gives the outputs and gradients of the reference, repeated ids included', () => {
    const layer = new nn.Embedding(11, 6)
    load(layer.weight, 'embedding.weight')
    const y = layer.run(golden.tensor('embedding.ids'))
    expectGolden(y, 'embedding.y')
    backward([y], [golden.tensor('embedding.grad_y')])
    expectGolden(layer.weight.grad, 'embedding.grad_weight')
    layer.dispose()
  })
})

/** float64 is computed by LibTorch's operators, as on a device without kernels of ours. */
const PATHS = ['float32', 'float64'] as const
const leaf = (name: string, dtype: DType) => toDType(golden.tensor(name), dtype).setRequiresGrad()

describe('RMSNorm', () => {
  it.each(PATHS)('gives the outputs and gradients of the reference in %s', (dtype) => {
    const layer = new nn.RMSNorm(8, { eps: 1e-5 })
    load(layer.weight, 'rms_norm.weight')
    const x = leaf('rms_norm.x', dtype)
    const y = layer.run(x)
    expectGolden(y, 'rms_norm.y')
    backward([y], [golden.tensor('rms_norm.grad_y')])
    expectGolden(x.grad, 'rms_norm.grad_x')
    expectGolden(layer.weight.grad, 'rms_norm.grad_weight')
    layer.dispose()
  })

  it('starts with weights of one and adds its epsilon under the root', () => {
    const layer = new nn.RMSNorm(2, { eps: 4 })
    expect(valuesOf(layer.weight)).toEqual([1, 1])
    const expected = [3, 4].map((x) => x / Math.sqrt(12.5 + 4))
    expect(relativeError(layer.run(tensor([3, 4], [2])), tensor(expected, [2]))).toBeLessThan(1e-6)
    expect(new nn.RMSNorm(2).eps).toBe(1e-6)
    layer.dispose()
  })

  it('computes in float32 whatever it is given', () => {
    const layer = new nn.RMSNorm(8, { eps: 1e-5 })
    const x = golden.tensor('rms_norm.x')
    const rounded = toDType(x, 'bfloat16')
    const y = layer.run(rounded)
    expect(y.dtype).toBe('float32')
    expect(relativeError(y, layer.run(toDType(rounded, 'float32')))).toBeLessThan(1e-6)
    layer.dispose()
  })

  it.each(PATHS)('gives the dtype that is asked for, of %s', (dtype) => {
    const layer = new nn.RMSNorm(8, { eps: 1e-5 })
    const y = layer.run(toDType(golden.tensor('rms_norm.x'), dtype), 'bfloat16')
    expect(y.dtype).toBe('bfloat16')
    expect(relativeError(y, layer.run(golden.tensor('rms_norm.x')))).toBeLessThan(2 ** -8)
    layer.dispose()
  })

  it('normalises under bfloat16 weights too', () => {
    const layer = new nn.RMSNorm(8, { eps: 1e-5 }).to({ dtype: 'bfloat16' })
    const y = layer.run(golden.tensor('rms_norm.x'))
    const plain = new nn.RMSNorm(8, { eps: 1e-5 })
    expect(relativeError(y, plain.run(golden.tensor('rms_norm.x')))).toBeLessThan(2e-2)
    layer.dispose()
    plain.dispose()
  })
})

describe('the gated activation', () => {
  it.each(PATHS)('gives the outputs and gradients of the reference in %s', (dtype) => {
    const gate = leaf('silu_mul.gate', dtype)
    const up = leaf('silu_mul.up', dtype)
    const y = nn.swiglu(gate, up)
    expectGolden(y, 'silu_mul.y')
    backward([y], [golden.tensor('silu_mul.grad_y')])
    expectGolden(gate.grad, 'silu_mul.grad_gate')
    expectGolden(up.grad, 'silu_mul.grad_up')
  })
})

describe('rotary position embedding', () => {
  it('has the tables of the reference', () => {
    const table = new nn.RotaryTable(6, 16, { device: 'cpu' })
    const positions = reshape(golden.tensor('rotary.position_BT'), [14])
    for (const [name, rows] of Object.entries({ cos: table.cos, sin: table.sin })) {
      expectGolden(reshape(indexSelect(rows, 0, positions), [2, 7, 6]), `rotary.${name}_BTE`)
    }
    table.dispose()
    expect([table.cos.isDisposed, table.sin.isDisposed]).toEqual([true, true])
  })

  it('turns by the frequencies of transformers', () => {
    const { frequencies } = rope.values.default!
    const table = new nn.RotaryTable(64, 2, { device: 'cpu' })
    const [cos, sin] = [valuesOf(table.cos).slice(64), valuesOf(table.sin).slice(64)]
    const turned = sin.map((s, i) => Math.atan2(s, cos[i]!))
    const both = [...frequencies, ...frequencies]
    expect(
      relativeError(tensor(Float64Array.from(turned), [64]), tensor(Float64Array.from(both), [64])),
    ).toBeLessThan(rope.tolerance)
    for (const [i, angle] of turned.entries()) expect(Math.abs(angle / both[i]! - 1)).toBeLessThan(1e-6)
    table.dispose()
  })

  it('can have another base', () => {
    const table = new nn.RotaryTable(4, 4, { theta: 100, device: 'cpu' })
    const expected = [3, 0.3, 3, 0.3].map(Math.cos)
    const last = reshape(indexSelect(table.cos, 0, tensor([3], [1], { dtype: 'int64' })), [4])
    expect(relativeError(last, tensor(expected, [4]))).toBeLessThan(1e-6)
    table.dispose()
  })

  it.each(PATHS)('rotates as the reference does in %s, forwards and backwards', (dtype) => {
    const x = leaf('rotary.x_BHTE', dtype)
    const tables = ['cos', 'sin'].map((name) => unsqueeze(golden.tensor(`rotary.${name}_BTE`), 1))
    const y = nn.applyRotary(x, tables[0]!, tables[1]!)
    expectGolden(y, 'rotary.y')
    backward([y], [golden.tensor('rotary.grad_y')])
    expectGolden(x.grad, 'rotary.grad_x')
  })

  it.each(PATHS)('gives the dtype that is asked for, of %s', (dtype) => {
    const tables = ['cos', 'sin'].map((name) => unsqueeze(golden.tensor(`rotary.${name}_BTE`), 1))
    const y = nn.applyRotary(leaf('rotary.x_BHTE', dtype), tables[0]!, tables[1]!, 'bfloat16')
    expect(y.dtype).toBe('bfloat16')
    expect(relativeError(y, golden.tensor('rotary.y'))).toBeLessThan(2 ** -8)
  })
})
