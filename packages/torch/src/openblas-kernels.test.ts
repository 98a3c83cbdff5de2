import { describe, expect, it } from 'vitest'
import { kernelsOfUnknownIntel } from './openblas-kernels.js'

const cpuinfo = (vendor: string, family: number, model: number, flags: string) =>
  `processor\t: 0\nvendor_id\t: ${vendor}\ncpu family\t: ${family}\nmodel\t\t: ${model}\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu ${flags} clflush\n\nprocessor\t: 1\n`
const AVX2 = 'avx2 fma'
const AVX512 = `${AVX2} avx512f avx512dq avx512cd avx512bw avx512vl`

describe('kernelsOfUnknownIntel', () => {
  it.each([
    ['Emerald Rapids', cpuinfo('GenuineIntel', 6, 207, AVX512), 'SkylakeX'],
    ['Granite Rapids', cpuinfo('GenuineIntel', 6, 173, AVX512), 'SkylakeX'],
    ['a later family', cpuinfo('GenuineIntel', 19, 1, AVX512), 'SkylakeX'],
    ['Raptor Lake, which has no AVX-512', cpuinfo('GenuineIntel', 6, 186, AVX2), 'Haswell'],
    ['one without AVX2', cpuinfo('GenuineIntel', 6, 190, 'sse3'), undefined],
    ['Sapphire Rapids, which OpenBLAS knows', cpuinfo('GenuineIntel', 6, 143, AVX512), undefined],
    ['Skylake', cpuinfo('GenuineIntel', 6, 85, AVX512), undefined],
    ['another maker', cpuinfo('AuthenticAMD', 26, 2, AVX512), undefined],
    ['another architecture', 'processor\t: 0\nBogoMIPS\t: 50.00\n', undefined],
  ])('of %s', (_, text, expected) => {
    expect(kernelsOfUnknownIntel(text)).toBe(expected)
  })
})
