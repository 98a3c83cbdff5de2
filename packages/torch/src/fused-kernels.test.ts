import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  add,
  autocast,
  backward,
  buildInfo,
  contiguous,
  detach,
  Generator,
  mul,
  narrow,
  noGrad,
  normal_,
  ones,
  openScope,
  type Scope,
  setNumThreads,
  startRecording,
  stopRecording,
  sum,
  type Tensor,
  tensor,
  toDType,
  transpose,
  view,
  zeros,
} from './index.js'
import { runModule } from './testing/child-process.test.fixture.js'
import { torchErrorOf, valuesOf } from './testing/compare.test.fixture.js'
import {
  drawInputs,
  drawTables,
  fusedErrors,
  RMS_NORM_CASES,
  ROTARY_CASES,
  rmsNorm,
  rotary,
  runFused,
  SWIGLU_CASES,
  swiglu,
} from './testing/fused-cases.test.fixture.js'

let all: Scope
beforeEach(() => {
  all = openScope()
})
afterEach(() => {
  all[Symbol.dispose]()
})

const bytesOf = (tensors: readonly Tensor[]) =>
  Buffer.concat(tensors.map((x) => new Uint8Array(x.toFloat32Array().buffer)))

const CASES = { RMS_NORM_CASES, ROTARY_CASES, SWIGLU_CASES }
const KERNELS = [
  { name: 'adapt::rms_norm', cases: 'RMS_NORM_CASES' },
  { name: 'adapt::rotary', cases: 'ROTARY_CASES' },
  { name: 'adapt::swiglu', cases: 'SWIGLU_CASES' },
] as const

describe.each(KERNELS)('$name', ({ cases }) => {
  it('gives values and gradients of float64 to 1e-6, and to rounding in bfloat16', () => {
    const errors = fusedErrors(CASES[cases])
    expect(errors.float32).toBeLessThan(1e-6)
    expect(errors.bfloat16).toBeLessThan(2 ** -8)
  })

  it.each(['default', 'avx2'])('does so with the instructions of %s', (capability) => {
    const fixture = new URL('./testing/fused-cases.test.fixture.js', import.meta.url).href
    const { stdout, stderr } = runModule(
      `const { fusedErrors, isClose, ${cases} } = await import(${JSON.stringify(fixture)})
       console.log(torch.buildInfo().kernels, isClose(fusedErrors(${cases})))`,
      { ATEN_CPU_CAPABILITY: capability },
    )
    const expected = capability === 'avx2' && buildInfo().kernels !== 'generic' ? 'avx2' : 'generic'
    expect([stdout.trim(), stderr]).toEqual([`${expected} true`, ''])
  })

  it('has gradients along which the output moves', () => {
    const fusedCase = CASES[cases].find(
      ({ dtypes, shapes }) => dtypes.every((x) => x === 'float32') && shapes[0]!.length > 1,
    )!
    const drawn = drawInputs(fusedCase)
    const [, ...gradients] = runFused('kernel', fusedCase, drawn)
    const valueAt = (inputs: readonly Tensor[]) =>
      valuesOf(sum(mul(toDType(fusedCase.kernel(...inputs), 'float64'), drawn.outputGradient)))[0]!
    const step = 1e-3
    for (const [i, gradient] of gradients.entries()) {
      const moved = (by: number) => drawn.inputs.map((x, j) => (i === j ? add(x, mul(gradient, by)) : x))
      const slope = (valueAt(moved(step)) - valueAt(moved(-step))) / (2 * step)
      const expected = valuesOf(sum(mul(toDType(gradient, 'float64'), gradient)))[0]!
      expect(Math.abs(slope / expected - 1)).toBeLessThan(1e-3)
    }
  })

  it('does not depend on the number of threads', () => {
    const before = buildInfo().numThreads
    for (const fusedCase of CASES[cases]) {
      setNumThreads(1)
      const alone = bytesOf(runFused('kernel', fusedCase))
      setNumThreads(3)
      expect(bytesOf(runFused('kernel', fusedCase)).equals(alone)).toBe(true)
    }
    setNumThreads(before)
  })

  it('is left alone by autocast', () => {
    for (const fusedCase of CASES[cases]) {
      const { inputs } = drawInputs(fusedCase)
      const [plain, within] = noGrad(() => [
        fusedCase.kernel(...inputs),
        autocast('cpu', 'bfloat16', () => fusedCase.kernel(...inputs)),
      ])
      expect(within!.dtype).toBe(fusedCase.outputDtype)
      expect(bytesOf([within!]).equals(bytesOf([plain!]))).toBe(true)
    }
  })
})

describe('adapt::rms_norm', () => {
  const weight = () => ones([3])

  it('gives float32 unless another dtype is asked for', () => {
    expect((rmsNorm(toDType(ones([2, 3]), 'bfloat16'), weight(), 1e-6) as Tensor).dtype).toBe('float32')
  })

  it('reads what does not lie row by row', () => {
    const wide = tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4])
    const dense = tensor([1, 2, 3, 5, 6, 7], [2, 3])
    const expected = valuesOf(rmsNorm(dense, weight(), 1e-6))
    expect(valuesOf(rmsNorm(narrow(wide, 1, 0, 3), weight(), 1e-6))).toEqual(expected)
    const columns = transpose(tensor([1, 5, 2, 6, 3, 7], [3, 2]), 0, 1)
    expect(valuesOf(rmsNorm(columns, weight(), 1e-6))).toEqual(expected)
  })

  it('keeps what is not finite to its row', () => {
    const rows = tensor([1, Number.NaN, 2, 1, 2, 3, 1, Number.POSITIVE_INFINITY, 2], [3, 3])
    const found = valuesOf(rmsNorm(rows, weight(), 1e-6))
    expect(found.slice(0, 3)).toEqual([Number.NaN, Number.NaN, Number.NaN])
    expect(found.slice(3, 6)).toEqual(valuesOf(rmsNorm(tensor([1, 2, 3], [3]), weight(), 1e-6)))
    expect(found.slice(6)).toEqual([0, Number.NaN, 0])
  })

  it('rounds NaN of any bits to NaN', () => {
    const bits = new Uint32Array(67).fill(0x7fffffff)
    const x = tensor(new Float32Array(bits.buffer), [1, 67])
    expect(valuesOf(rmsNorm(x, ones([67]), 1e-6, 'bfloat16')).every(Number.isNaN)).toBe(true)
  })

  it('takes no rows at all', () => {
    expect((rmsNorm(zeros([0, 3]), weight(), 1e-6) as Tensor).shape).toEqual([0, 3])
  })

  it('refuses what it would misread', () => {
    const messageOf = (...args: Parameters<typeof rmsNorm>) => torchErrorOf(() => rmsNorm(...args)).message
    expect(messageOf(ones([2, 4]), weight(), 1e-6)).toMatch(/expected weight \[D\]/)
    expect(messageOf(ones([2, 3]), ones([1, 3]), 1e-6)).toMatch(/expected weight \[D\]/)
    expect(messageOf(toDType(ones([2, 3]), 'float64'), weight(), 1e-6)).toMatch(/float32 or bfloat16/)
    expect(messageOf(ones([2, 3]), weight(), 1e-6, 'float16')).toMatch(/float32 or bfloat16/)
  })
})

describe('adapt::rotary', () => {
  const namesOf = (fn: () => void) => {
    startRecording()
    fn()
    return stopRecording().events.map(({ name }) => name)
  }

  it('reads heads of a part of a product where they lie, and gives its gradient through the view', () => {
    const [numHeads, headDim] = [4, 16]
    const tables = drawTables([1, 9, 1, headDim])
    const product = normal_(zeros([2, 9, 100]), 0, 1, new Generator(2)).setRequiresGrad()
    const heads = view(narrow(product, 2, 10, numHeads * headDim), [2, 9, numHeads, headDim])
    const dense = contiguous(detach(heads)).setRequiresGrad()
    let found: Tensor
    expect(
      namesOf(() => {
        found = rotary(heads, ...tables) as Tensor
      }),
    ).not.toContain('aten::copy_')
    const expected = rotary(dense, ...tables) as Tensor
    expect(valuesOf(found!)).toEqual(valuesOf(expected))
    // A gradient that does not lie as the output does.
    const gradient = transpose(normal_(zeros([2, numHeads, 9, headDim]), 0, 1, new Generator(3)), 1, 2)
    backward([found!], [gradient])
    backward([expected], [contiguous(gradient)])
    const within = narrow(product.grad!, 2, 10, numHeads * headDim)
    expect(valuesOf(within)).toEqual(valuesOf(dense.grad!))
  })

  it('gives the dtype of x unless another is asked for', () => {
    const x = toDType(ones([2, 1, 4]), 'bfloat16')
    expect((rotary(x, ones([4]), ones([4])) as Tensor).dtype).toBe('bfloat16')
  })

  it('keeps NaN to the two numbers that are turned together', () => {
    const x = tensor([1, Number.NaN, 2, 3, 4, 5], [1, 6])
    const values = valuesOf(rotary(x, ...drawTables([6])))
    expect(values.map(Number.isNaN)).toEqual([false, true, false, false, true, false])
  })

  it('refuses what it would misread', () => {
    const messageOf = (...args: Parameters<typeof rotary>) => torchErrorOf(() => rotary(...args)).message
    const table = ones([4])
    expect(messageOf(ones([2, 3]), ones([3]), ones([3]))).toMatch(/an even E/)
    expect(messageOf(ones([4]), table, table)).toMatch(/\[\.\.\., H, E\]/)
    expect(messageOf(ones([2, 4]), toDType(table, 'float64'), table)).toMatch(/tables in float32/)
    expect(messageOf(ones([2, 4]), table, ones([1, 1, 4]))).toMatch(/more dimensions/)
    expect(messageOf(ones([2, 4]), table, ones([3, 4]))).toMatch(/expand/)
    expect(messageOf(ones([2, 4]), ones([4]).setRequiresGrad(), table)).toMatch(/no gradient/)
    expect(messageOf(toDType(ones([2, 4]), 'float64'), table, table)).toMatch(/float32 or bfloat16/)
  })
})

describe('adapt::swiglu', () => {
  it('has the limits of x sigmoid(x) at both ends, and NaN of NaN', () => {
    const ends = [Number.NEGATIVE_INFINITY, -1e4, -90, 90, 1e4, Number.POSITIVE_INFINITY, Number.NaN]
    const gate = tensor(ends, [ends.length]).setRequiresGrad()
    const up = ones([ends.length]).setRequiresGrad()
    const found = swiglu(gate, up) as Tensor
    backward([sum(found)])
    // Adding 0 takes the sign from a zero.
    const plain = (x: Tensor) => valuesOf(x).map((value) => value + 0)
    const expected = [0, 0, 0, ...ends.slice(3)]
    expect(plain(found)).toEqual(expected)
    expect(plain(up.grad!)).toEqual(expected)
    expect(plain(gate.grad!)).toEqual([0, 0, 0, 1, 1, 1, Number.NaN])
  })

  it('reads what does not lie number by number', () => {
    const both = normal_(zeros([3, 10]), 0, 1, new Generator(4))
    const [gate, up] = [narrow(both, 1, 0, 5), narrow(both, 1, 5, 5)]
    expect(valuesOf(swiglu(gate, up))).toEqual(valuesOf(swiglu(contiguous(gate), contiguous(up))))
  })

  it('refuses what it would misread', () => {
    const messageOf = (...args: Parameters<typeof swiglu>) => torchErrorOf(() => swiglu(...args)).message
    expect(messageOf(ones([2, 3]), ones([3]))).toMatch(/differ in shape/)
    expect(messageOf(ones([3]), toDType(ones([3]), 'bfloat16'))).toMatch(/differ in dtype/)
    expect(messageOf(toDType(ones([3]), 'float64'), toDType(ones([3]), 'float64'))).toMatch(
      /float32 or bfloat16/,
    )
  })
})
