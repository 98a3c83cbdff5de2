import { describe, expect, it } from 'vitest'
import { findWarnings } from './diagnose.js'
import { blasProblem, mappedBlas } from './mapped-blas.js'

const LIB = '/usr/lib/x86_64-linux-gnu'
const line = (path: string) =>
  `7f0000000000-7f0000001000 r-xp 00000000 08:01 42                         ${path}`

describe('mappedBlas', () => {
  it('finds each BLAS library once and nothing else', () => {
    const maps = [
      line('/usr/bin/node'),
      line(`${LIB}/openblas-openmp/libblas.so.3`),
      line(`${LIB}/openblas-openmp/libblas.so.3`),
      line(`${LIB}/openblas-openmp/libopenblasp-r0.3.21.so`),
      line('/home/blas/lib/libtorch_cpu.so'),
      line('/opt/intel/libmkl_rt.so.2'),
      line('/env/nvidia/cu13/lib/libcublasLt.so.13'),
      '7f0000000000-7f0000001000 rw-p 00000000 00:00 0                          [heap]',
      '7f0000000000-7f0000001000 rw-p 00000000 00:00 0',
    ].join('\n')
    expect(mappedBlas(maps)).toEqual([
      '/opt/intel/libmkl_rt.so.2',
      `${LIB}/openblas-openmp/libblas.so.3`,
      `${LIB}/openblas-openmp/libopenblasp-r0.3.21.so`,
    ])
  })
})

describe('blasProblem', () => {
  it('names the pthread build and the reference library, and no other', () => {
    expect(blasProblem([`${LIB}/openblas-pthread/libopenblasp-r0.3.21.so`])).toContain('libopenblas0-openmp')
    expect(blasProblem([`${LIB}/blas/libblas.so.3.11.0`])).toContain('reference')
    expect(
      blasProblem([`${LIB}/openblas-openmp/libblas.so.3`, `${LIB}/openblas-openmp/libopenblasp-r0.3.21.so`]),
    ).toBe(undefined)
    expect(blasProblem(['/opt/intel/libmkl_rt.so.2'])).toBe(undefined)
    expect(blasProblem([])).toBe(undefined)
  })
})

describe('findWarnings', () => {
  const engine = {
    isReady: true,
    libtorchVersion: '2.0.0',
    libtorchRoot: '/opt/libtorch',
    libtorchKind: 'folder',
    libtorchHasCuda: false,
    addonPath: 'a.node',
    numThreads: 2,
    cpuCapability: 'AVX512',
    kernels: 'avx512',
    hasBf16: true,
    hasCuda: false,
    processGroups: ['gloo'],
    blas: [],
  } as const

  it('is silent on a machine without a problem', () => {
    expect(findWarnings({ OMP_NUM_THREADS: '2' }, engine, 2)).toEqual([])
    expect(findWarnings({ OMP_NUM_THREADS: '1' }, engine, 1)).toEqual([])
  })

  it('names each setting that slows the engine down', () => {
    const environment = { OPENBLAS_CORETYPE: 'Haswell', OMP_NUM_THREADS: '1', ATEN_CPU_CAPABILITY: 'default' }
    const slow = { ...engine, hasBf16: false, blas: [`${LIB}/openblas-pthread/libblas.so.3`] }
    expect(findWarnings(environment, slow, 8).map((warning) => warning.split(/[ =:]/)[0])).toEqual([
      'OPENBLAS_CORETYPE',
      'OMP_NUM_THREADS',
      'ATEN_CPU_CAPABILITY',
      'BLAS',
      'no',
    ])
  })
})
