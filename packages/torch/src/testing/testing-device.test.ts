// The device without hardware on which other tests run: that it computes what the CPU computes, and that it refuses and
// counts what a device would.
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  counted,
  DEVICE,
  deviceBytesInUse,
  deviceCounts,
  loadTestingDevice,
  OTHER_DEVICE,
  resetDeviceCounts,
  timesRun,
  withDeviceMemory,
  withForbidden,
} from '../../testing-device/testing-device.mjs'
import {
  add,
  autocast,
  backward,
  buildInfo,
  cat,
  copy_,
  empty,
  full,
  Generator,
  manualSeed,
  matmul,
  mul,
  normal_,
  ops,
  reshape,
  scope,
  sum,
  type Tensor,
  tensor,
  toDevice,
  transpose,
} from '../index.js'
import { runModule } from './child-process.test.fixture.js'
import { relativeError, torchErrorOf, valuesOf } from './compare.test.fixture.js'

const onDevice = (values: readonly number[], shape: readonly number[]) =>
  toDevice(tensor(values, shape), DEVICE)
const host = (value: unknown) => toDevice(value as Tensor, 'cpu')

beforeAll(loadTestingDevice)
beforeEach(resetDeviceCounts)
const isOld = () => buildInfo().libtorchVersion.startsWith('1.')

describe('what the device computes', () => {
  it('equals what the CPU computes, whatever the arguments look like', () => {
    scope(() => {
      const a = tensor([1, 2, 3, 4, 5, 6], [2, 3])
      const b = tensor([1, 0, -1, 2, 1, 0], [3, 2])
      const [x, y] = [toDevice(a, DEVICE), toDevice(b, DEVICE)]
      const pairs = [
        [matmul(x, y), matmul(a, b)],
        [add(x, transpose(y, 0, 1)), add(a, transpose(b, 0, 1))],
        [cat([x, x], 1), cat([a, a], 1)],
        [ops.aten!.topk!(x, 2), ops.aten!.topk!(a, 2)],
        [mul(x, 3), mul(a, 3)],
        [ops.aten!.logsumexp!(x, [1]), ops.aten!.logsumexp!(a, [1])],
      ] as const
      for (const [result, expected] of pairs) {
        const results = [result].flat() as Tensor[]
        for (const [i, one] of ([expected].flat() as Tensor[]).entries()) {
          expect(results[i]!.device).toBe(DEVICE)
          expect(relativeError(host(results[i]), one)).toBeLessThan(1e-6)
        }
      }
    })
  })

  it('returns a view where the operator does: writing to it writes to what it shows', () => {
    scope(() => {
      const x = onDevice([1, 2, 3, 4], [2, 2])
      ops.aten!.mul_!(ops.aten!.select!(transpose(x, 0, 1), 0, 1) as Tensor, 10)
      ops.aten!.fill_!(ops.aten!.slice!(reshape(x, [4]), 0, 0, 1) as Tensor, -1)
      expect(valuesOf(host(x))).toEqual([-1, 20, 3, 40])
    })
  })

  it('resizes what is given for a result', () => {
    scope(() => {
      const out = empty([0], { device: DEVICE })
      ops.aten!.add!.out!(onDevice([1, 2], [2]), onDevice([3, 4], [2]), { out })
      expect([out.shape, valuesOf(host(out))]).toEqual([[2], [4, 6]])
    })
  })

  it('has gradients', () => {
    scope(() => {
      const weight = onDevice([1, 2, 3, 4], [2, 2]).setRequiresGrad()
      backward([sum(mul(matmul(onDevice([1, 1], [1, 2]), weight), weight))])
      expect(weight.grad!.device).toBe(DEVICE)
      expect(valuesOf(host(weight.grad))).toEqual([8, 12, 8, 12])
    })
  })

  it('shows memory that nobody wrote as NaN', () => {
    scope(() => expect(valuesOf(host(empty([2], { device: DEVICE })))).toEqual([NaN, NaN]))
  })

  it('draws random numbers from generators of its own', (context) => {
    if (isOld()) context.skip('LibTorch 1.13 refuses a default generator of this key')
    scope(() => {
      const draw = (generator?: Generator) =>
        valuesOf(host(normal_(empty([4], { device: DEVICE }), 0, 1, generator)))
      const first = draw(new Generator(3, DEVICE))
      expect(draw(new Generator(3, DEVICE))).toEqual(first)
      manualSeed(3)
      const unnamed = draw()
      manualSeed(3)
      expect(draw()).toEqual(unnamed)
    })
  })

  it('computes in bfloat16 under autocast', (context) => {
    if (isOld()) context.skip('LibTorch 1.13 has no autocast for this key')
    scope(() => {
      const x = onDevice([1, 2, 3, 4], [2, 2])
      autocast(DEVICE, 'bfloat16', () => {
        expect([matmul(x, x).dtype, ops.aten!.exp!(x)].map((one) => (one as Tensor).dtype ?? one)).toEqual([
          'bfloat16',
          'float32',
        ])
      })
      expect(matmul(x, x).dtype).toBe('float32')
    })
  })
})

describe('what the device refuses', () => {
  const refused = (action: () => unknown) => scope(() => torchErrorOf(action)).message

  it('tensors of the CPU beside its own', () => {
    scope(() => {
      const x = onDevice([1, 2], [2])
      const mixed = /same device, but found at least two devices, privateuseone:0 and cpu/
      expect(refused(() => add(x, full([2], 1)))).toMatch(mixed)
      expect(refused(() => cat([full([2], 1), x]))).toMatch(mixed)
      expect(refused(() => ops.aten!.index_select!(x, 0, tensor([0], [1], { dtype: 'int64' })))).toMatch(
        mixed,
      )
    })
  })

  it('tensors of its neighbour beside its own', () => {
    scope(() => {
      const y = full([2], 1, { device: OTHER_DEVICE })
      expect(y.device).toBe(OTHER_DEVICE)
      expect(refused(() => add(onDevice([1, 2], [2]), y))).toMatch(/privateuseone:0 and privateuseone:1/)
    })
  })

  it('a generator of the CPU', () => {
    scope(() => {
      const x = empty([2], { device: DEVICE })
      expect(refused(() => normal_(x, 0, 1, new Generator(1)))).toMatch(
        /'privateuseone' device type for generator but found 'cpu'/,
      )
    })
  })

  it('a scalar tensor of the CPU where the kernel is not pointwise, and counts it elsewhere', (context) => {
    scope(() => {
      const x = onDevice([1, 2], [2])
      expect(counted(() => add(x, full([], 1))).counts.hostScalars).toBe(1)
      // A number of the program travels as an argument of the kernel.
      expect(counted(() => add(x, 1)).counts.hostScalars).toBe(0)
      if (isOld()) context.skip('LibTorch 1.13 does not tag its pointwise operators')
      expect(
        refused(() =>
          ops.aten!.index_fill!.int_Tensor!(
            x,
            0,
            toDevice(tensor([0], [1], { dtype: 'int64' }), DEVICE),
            full([], 1),
          ),
        ),
      ).toMatch(/found at least two devices/)
    })
  })

  it('more memory than there is', () => {
    scope(() => {
      const before = deviceBytesInUse()
      const x = empty([1000], { device: DEVICE })
      expect(deviceBytesInUse() - before).toBe(4000)
      withDeviceMemory(before + 5000, () => {
        expect(refused(() => empty([1000], { device: DEVICE }))).toMatch(/out of memory/)
        expect(refused(() => add(x, 1))).toMatch(/out of memory/)
      })
      expect(add(x, 1).shape).toEqual([1000])
    })
  })
})

describe('what the device counts, and throws at where it is forbidden', () => {
  it.each([
    ['copiesToHost', (x: Tensor) => x.toFloat32Array()],
    ['copiesToDevice', (x: Tensor) => copy_(x, full([3], 1))],
    ['scalarReads', (x: Tensor) => sum(x).item()],
    ['waits', (x: Tensor) => ops.aten!.nonzero!(x)],
    ['waits', (x: Tensor) => ops.aten!.equal!(x, x)],
    ['waits', (x: Tensor) => ops.aten!.masked_select!(x, ops.aten!.isfinite!(x) as Tensor)],
    ['waits', (x: Tensor) => ops.aten!.index!(x, [ops.aten!.isfinite!(x) as Tensor])],
    ['waits', (x: Tensor) => ops.aten!.index_put_!(x, [ops.aten!.isfinite!(x) as Tensor], mul(x, 2))],
    ['hostScalars', (x: Tensor) => mul(x, full([], 2))],
  ] as const)('%s', (name, action) => {
    scope(() => {
      const x = onDevice([1, 2, 3], [3])
      const { counts } = counted(() => action(x))
      expect(counts[name]).toBe(1)
      expect(torchErrorOf(() => withForbidden([name], () => action(x))).message).toMatch(/forbidden here/)
      expect(deviceCounts()[name]).toBe(2)
      action(x)
    })
  })

  it('bytes that cross, and operators by name', () => {
    scope(() => {
      const { counts } = counted(() =>
        matmul(onDevice([1, 2, 3, 4], [2, 2]), onDevice([1, 2], [2, 1])).toFloat32Array(),
      )
      expect(counts).toMatchObject({ copiesToDevice: 2, bytesToDevice: 24, copiesToHost: 1, bytesToHost: 8 })
      expect(timesRun('aten::mm.out')).toBe(1)
    })
  })
})

describe('a process that', () => {
  it('reads memory of the device as if it were its own dies there', () => {
    const read = `const x = torch.full([2], 7, { device: '${DEVICE}' })
      console.log(x.toFloat32Array()[0])
      torch.ops.testing_device.peek(x)
      console.log('still here')`
    const { status, signal, stdout } = runModule(read)
    expect([status, signal, stdout.trim()]).toEqual([null, 'SIGSEGV', '7'])
  })

  it('was not given the device does not know it', () => {
    const source = `try { torch.full([2], 7, { device: '${DEVICE}' }) } catch (error) { console.log(error.code) }`
    expect(runModule(source, { ADAPT_TORCH_TESTING_DEVICE: '' }).stdout.trim()).toBe('UNKNOWN_DEVICE')
  })
})
