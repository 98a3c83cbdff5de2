import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findProgram, runCommand } from './run-command.mjs'

/** Options of inner loops that an older compiler, or its assembler, may not know, each with an instruction of it: what needs them is then left out. */
const OPTIONAL_FLAGS = { '-mavx512bf16': 'vdpbf16ps %zmm0, %zmm0, %zmm0' }

/**
 * The C++ compiler: CXX (which may carry a wrapper: "ccache g++"), else g++, c++ or clang++.
 * @returns {Promise<{ command: string[], version: string } | undefined>}
 */
export async function findCompiler(env) {
  const named = env.CXX?.trim()
  for (const command of named ? [named.split(/\s+/)] : [['g++'], ['c++'], ['clang++']]) {
    if (findProgram(command[0], env) === undefined) continue
    const { code, output } = await runCommand(command[0], [...command.slice(1), '--version'], { env })
    if (code === 0) return { command, version: output.split('\n')[0].trim() }
  }
  return undefined
}

/** Those of the flags that the compiler knows. Only the optional ones are asked about. */
export async function knownFlags({ command }, flags) {
  const known = await Promise.all(
    flags.map((flag) => !(flag in OPTIONAL_FLAGS) || assembles(command, flag, OPTIONAL_FLAGS[flag])),
  )
  return flags.filter((_, i) => known[i])
}

async function assembles([program, ...args], flag, instruction) {
  const folder = mkdtempSync(path.join(tmpdir(), 'adapt-compiler-'))
  try {
    const source = path.join(folder, 'probe.cpp')
    writeFileSync(source, `void probe() { __asm__("${instruction}"); }\n`)
    const object = path.join(folder, 'probe.o')
    return (await runCommand(program, [...args, flag, '-c', source, '-o', object])).code === 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Flags for one object file. Warnings are errors in our code only: LibTorch's and Node's headers are system headers.
 * The hardening flags are those that distributions use for their own packages.
 */
export function compileFlags({ libtorch, nativeDir, nodeIncludeDir, env }) {
  const [major, minor] = libtorch.version.split('.').map(Number)
  const standard = major > 2 || (major === 2 && minor >= 6) ? 'c++20' : 'c++17'
  return [
    `-std=${standard}`,
    ...['-O2', '-fPIC', '-fvisibility=hidden'],
    ...['-Wall', '-Wextra', '-Werror'],
    ...['-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2', '-D_GLIBCXX_ASSERTIONS'],
    '-DNAPI_VERSION=8',
    `-I${nativeDir}`,
    // File names in error messages say nothing of where the package lies: equal sources give equal objects.
    `-ffile-prefix-map=${nativeDir}=native`,
    ...[...libtorch.includeDirs, nodeIncludeDir].flatMap((dir) => ['-isystem', dir]),
    ...extraFlags(env.CXXFLAGS),
  ]
}

const AVX2 = ['-mavx2', '-mfma']
const AVX512 = [
  ...AVX2,
  ...['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mprefer-vector-width=512'],
]
const INSTRUCTION_SETS = { avx2: AVX2, avx512: AVX512, avx512bf16: [...AVX512, '-mavx512bf16'] }

/**
 * More flags for the file that holds inner loops: `loops.<instruction set>.cpp`. A sum of products is one operation there, as in
 * every matrix product. On another architecture than x86-64 they are compiled for what every processor of it has.
 *
 * @param {string} source
 * @param {string} arch as in `process.arch`
 */
export function unitFlags(source, arch) {
  const instructionSet = /\bloops\.(\w+)\.cpp$/.exec(path.basename(source))?.[1]
  if (instructionSet === undefined) return []
  const flags = ['-O3', '-ffp-contract=fast', '-fno-math-errno', '-Wno-psabi']
  return arch === 'x64' ? [...flags, ...(INSTRUCTION_SETS[instructionSet] ?? [])] : flags
}

/**
 * Flags of the link step. The run path is a DT_RPATH, not a RUNPATH: only the former also serves LibTorch's own
 * dependencies, and so gives our process OpenBLAS's OpenMP flavour without changing the system's BLAS alternative.
 *
 * @param {{ libtorch: object, platform: string, openblas: string | undefined, env: object }} input
 */
export function linkFlags({ libtorch, platform, openblas, env }) {
  const runPath = [
    ...(openblas ? [openblas] : []),
    libtorch.libDir,
    ...(libtorch.cuda ? cudaWheelDirs(libtorch.libDir) : []),
  ]
  const runPathFlags = runPath.map((dir) => `-Wl,-rpath,${dir}`)
  const libraries = [`-L${libtorch.libDir}`, '-ltorch', '-ltorch_cpu', '-lc10']
  if (platform === 'darwin') {
    return [
      '-bundle',
      '-undefined',
      'dynamic_lookup',
      ...runPathFlags,
      ...libraries,
      ...extraFlags(env.LDFLAGS),
    ]
  }
  return [
    '-shared',
    ...['-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack'],
    // Kernels register in static initialisers: a library that no symbol names must stay linked all the same.
    ...['-Wl,--no-as-needed', '-Wl,--disable-new-dtags'],
    ...runPathFlags,
    ...libraries,
    ...extraFlags(env.LDFLAGS),
  ]
}

/** pip keeps CUDA's own libraries in packages beside torch: site-packages/nvidia/<name>/lib. */
function cudaWheelDirs(libDir) {
  const nvidia = path.resolve(libDir, '../../nvidia')
  if (!existsSync(nvidia)) return []
  const dirs = readdirSync(nvidia).map((name) => path.join(nvidia, name, 'lib'))
  return dirs.filter((dir) => existsSync(dir)).sort()
}

function extraFlags(text) {
  return text?.trim() ? text.trim().split(/\s+/) : []
}
