import { describe, expect, it } from 'vitest'
import {
  add,
  autocast,
  backward,
  buildInfo,
  copy_,
  linear,
  mm,
  mul,
  noGrad,
  ones,
  scope,
  softmax,
  sum,
  type Tensor,
  tensor,
  toDType,
} from './index.js'
import { codeOf, valuesOf } from './testing/compare.test.fixture.js'

const bf16 = <T>(fn: () => T): T => autocast('cpu', 'bfloat16', fn)
const productDtype = () => scope(() => mm(ones([2, 2]), ones([2, 2])).dtype)

const [major = 0, minor = 0] = buildInfo().libtorchVersion.split('.').map(Number)

describe.runIf(major < 2 || (major === 2 && minor < 4))('autocast before LibTorch 2.4', () => {
  it('is refused for a device that it is not there for, and leaves the others as they are', () => {
    expect(codeOf(() => autocast('mps', 'bfloat16', productDtype))).toBe('UNSUPPORTED_AUTOCAST')
    expect(productDtype()).toBe('float32')
    expect(bf16(productDtype)).toBe('bfloat16')
  })
})

describe('autocast', () => {
  it('computes matrix products in the given dtype and leaves the rest alone', () => {
    scope(() => {
      const x = ones([2, 2])
      const w = ones([2, 2]).setRequiresGrad()
      bf16(() => {
        expect(mm(x, w).dtype).toBe('bfloat16')
        expect(linear(x, w).dtype).toBe('bfloat16')
        expect(mul(x, x).dtype).toBe('float32')
        expect(add(mm(x, w), x).dtype).toBe('float32')
        expect(softmax(x, 1, 'float32').dtype).toBe('float32')
      })
      expect(productDtype()).toBe('float32')
    })
  })

  it('rounds the operands as bfloat16 does', () => {
    scope(() => {
      const third = tensor([1 / 3], [1, 1])
      const rounded = bf16(() => mm(third, ones([1, 1])))
      expect(valuesOf(rounded)).toEqual(valuesOf(toDType(third, 'bfloat16')))
      expect(valuesOf(rounded)).not.toEqual(valuesOf(third))
    })
  })

  it('gives float32 gradients to float32 weights', () => {
    scope(() => {
      const w = tensor([1, 2], [1, 2]).setRequiresGrad()
      const loss = bf16(() => sum(linear(tensor([3, 4], [1, 2]), w)))
      backward([loss])
      const gradient = w.grad!
      expect([gradient.dtype, valuesOf(gradient)]).toEqual(['float32', [3, 4]])
      w.grad = undefined
    })
  })

  it('is absent without a dtype or in float32', () => {
    expect(autocast('cpu', undefined, productDtype)).toBe('float32')
    expect(autocast('cpu', 'float32', productDtype)).toBe('float32')
  })

  it('nests with the same device and dtype, and ends with the outermost region', () => {
    const seen = bf16(() => [
      bf16(productDtype),
      productDtype(),
      autocast('cpu', undefined, productDtype),
      productDtype(),
    ])
    expect(seen).toEqual(['bfloat16', 'bfloat16', 'bfloat16', 'bfloat16'])
    expect(productDtype()).toBe('float32')
  })

  it.each(['float16', 'float32', 'float64'] as const)('refuses %s inside bfloat16', (dtype) => {
    bf16(() => {
      expect(codeOf(() => autocast('cpu', dtype, productDtype))).toBe('AUTOCAST_NESTING')
      expect(productDtype()).toBe('bfloat16')
    })
    expect(productDtype()).toBe('float32')
  })

  it('refuses an unknown device', () => {
    expect(codeOf(() => autocast('gpu', 'bfloat16', productDtype))).toBe('UNKNOWN_DEVICE')
    expect(productDtype()).toBe('float32')
  })

  it('ends when the callback throws, in an inner region too', () => {
    const fail = () => {
      throw new Error('inside')
    }
    expect(() => bf16(fail)).toThrow('inside')
    expect(productDtype()).toBe('float32')
    bf16(() => {
      expect(() => bf16(fail)).toThrow('inside')
      expect(productDtype()).toBe('bfloat16')
    })
    expect(productDtype()).toBe('float32')
  })

  it('refuses a promise and ends', async () => {
    const fail = async () => {
      throw new Error('never seen')
    }
    expect(codeOf(() => bf16(fail))).toBe('SCOPE_ASYNC')
    expect(productDtype()).toBe('float32')
    await new Promise((resolve) => setImmediate(resolve))
  })

  it('sees weights that changed between two regions', () => {
    scope(() => {
      const w = ones([1, 1]).setRequiresGrad()
      const forward = () => valuesOf(bf16(() => linear(ones([1, 1]), w)))
      expect(forward()).toEqual([1])
      noGrad(() => copy_(w, tensor([5], [1, 1])))
      expect(forward()).toEqual([5])
    })
  })

  it('does not hand the cast of a freed weight to the next one', () => {
    const forward = (value: number) =>
      scope(() => {
        const w: Tensor = tensor([value], [1, 1]).setRequiresGrad()
        return valuesOf(linear(ones([1, 1]), w))[0]
      })
    expect(bf16(() => [1, 2, 3, 4].map(forward))).toEqual([1, 2, 3, 4])
  })
})
