import { cpSync, existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildAddon } from './build-addon.mjs'
import { compileFlags, findCompiler, knownFlags, linkFlags, unitFlags } from './compiler.mjs'
import { createFakeHost } from './fake-host.test.fixture.mjs'
import { hardeningFaults } from './hardening-faults.test.fixture.mjs'
import { findProgram, runCommand } from './run-command.mjs'

const nodeIncludeDir = createRequire(import.meta.url)('node-api-headers').include_dir
const torchDir = path.resolve(import.meta.dirname, '..')
const compiler = await findCompiler(process.env)
const isLinux = process.platform === 'linux'
const source = (answer) => `#include <node_api.h>
NAPI_MODULE_INIT() {
  char text[64];
  size_t length = 0;
  napi_value value;
  napi_get_value_string_utf8(env, exports, text, sizeof text, &length);
  napi_create_int32(env, ${answer} + static_cast<int>(length), &value);
  napi_set_named_property(env, exports, "answer", value);
  return exports;
}
`
let machine
beforeEach(() => {
  machine = createFakeHost()
})
afterEach(() => machine.remove())

/** Libraries that are LibTorch by name only: enough to compile and link against. */
async function addEmptyLibTorch(root) {
  machine.addLibTorch(root, { version: '2.6.0' })
  for (const name of ['torch', 'torch_cpu', 'c10']) {
    const file = machine.at(`${root}/lib/lib${name}.so`)
    const args = [...compiler.command.slice(1), '-shared', '-x', 'c++', '/dev/null', '-o', file]
    const { code, output } = await runCommand(compiler.command[0], args)
    if (code !== 0) throw new Error(output)
  }
  return {
    version: '2.6.0',
    root: machine.at(root),
    kind: 'project',
    includeDirs: [machine.at(`${root}/include`)],
    libDir: machine.at(`${root}/lib`),
    cuda: false,
    label: 'test',
  }
}

const quiet = { line() {}, timed: (_kind, _label, work) => work() }

function refusalWith(libtorch) {
  const { prefix: torchDir, host } = machine
  const input = { torchDir, libtorch, compiler, nodeIncludeDir, host, progress: quiet }
  return buildAddon(input).catch((error) => error)
}

describe('buildAddon', () => {
  const canBuild = compiler !== undefined && isLinux && findProgram('readelf') !== undefined
  it('builds once per state of sources and LibTorch, and goes back without building', async (context) => {
    if (!canBuild) context.skip('needs Linux, a C++ compiler and readelf')
    const lines = []
    const progress = { line: (text) => lines.push(text), timed: (_kind, _label, work) => work() }
    const first = await addEmptyLibTorch('one')
    const second = await addEmptyLibTorch('two')
    const build = async (libtorch) => {
      const input = {
        torchDir: machine.prefix,
        libtorch,
        compiler,
        nodeIncludeDir,
        host: machine.host,
        progress,
      }
      const { built, current } = await buildAddon(input)
      expect(JSON.parse(readFileSync(machine.at('build/current.json'), 'utf8'))).toEqual(current)
      const module = { exports: {} }
      process.dlopen(module, machine.at(`build/${current.addon}`))
      return { built, root: current.libtorch.root, answer: module.exports.answer, current }
    }
    machine.write('native/answer.cpp', source(41))
    const one = await build(first)
    expect(one).toMatchObject({ built: true, root: machine.at('one'), answer: 41 })
    expect(Object.keys(one.current)).toEqual(['schema', 'hash', 'addon', 'libtorch', 'compiler', 'builtAt'])
    expect(await hardeningFaults(machine.at(`build/${one.current.addon}`))).toEqual([])
    expect(await build(first)).toMatchObject({ built: false, answer: 41 })
    expect(await build(second)).toMatchObject({ built: true, root: machine.at('two') })
    expect((await build(first)).current).toEqual(one.current)

    const upgraded = new Date(Date.now() + 60_000)
    utimesSync(machine.at('one/lib/libc10.so'), upgraded, upgraded)
    expect(await build(first)).toMatchObject({ built: true, answer: 41 })

    machine.write('native/answer.cpp', source(42))
    machine.write('native/empty.cpp', '')
    expect(await build(first)).toMatchObject({ built: true, answer: 42 })
    machine.write('native/empty.cpp', '// changed\n')
    lines.length = 0
    expect(await build(first)).toMatchObject({ built: true, answer: 42 })
    expect(lines[0]).toMatch(/^Building the add-on: 1 C\+\+ files \(1 unchanged\)/)
  })

  it('takes a build that was moved with its package, and keeps builds where the environment says', async (context) => {
    if (!canBuild) context.skip('needs Linux, a C++ compiler and readelf')
    const libtorch = await addEmptyLibTorch('one')
    machine.write('native/answer.cpp', source(41))
    const build = (torchDir, env = {}) => {
      const host = { ...machine.host, env: { ...machine.host.env, ...env } }
      return buildAddon({ torchDir, libtorch, compiler, nodeIncludeDir, host, progress: quiet })
    }
    const { current } = await build(machine.prefix)
    cpSync(machine.at('native'), machine.at('moved/native'), { recursive: true })
    cpSync(machine.at(`build/${current.hash}`), machine.at(`moved/build/${current.hash}`), {
      recursive: true,
    })
    expect(await build(machine.at('moved'))).toEqual({ built: false, current })

    const apart = await build(machine.prefix, { ADAPT_TORCH_BUILD_DIR: machine.at('apart') })
    expect(apart).toMatchObject({ built: true, current: { hash: current.hash } })
    expect(existsSync(machine.at(`apart/${apart.current.addon}`))).toBe(true)
  })

  it('refuses a folder that cannot be written, with the way out', async () => {
    machine.write('native/answer.cpp', source(41))
    writeFileSync(machine.at('file'), '')
    const host = { ...machine.host, env: { ADAPT_TORCH_BUILD_DIR: machine.at('file/build') } }
    const error = await buildAddon({ torchDir: machine.prefix, host }).catch((caught) => caught)
    expect(error).toMatchObject({ name: 'SetupError', exitCode: 5 })
    expect(error.message).toMatch(/file\/build cannot be written \(ENOTDIR\): set ADAPT_TORCH_BUILD_DIR/)
  })

  it('stops with the words of the compiler, and leaves nothing half-built', async (context) => {
    if (!canBuild) context.skip('needs Linux, a C++ compiler and readelf')
    const libtorch = await addEmptyLibTorch('one')
    machine.write('native/broken.cpp', 'int unused_result() { int unused; return 0; }\n')
    const error = await refusalWith(libtorch)
    expect(error.exitCode).toBe(1)
    expect(error.message).toMatch(/broken\.cpp[\s\S]*unused[\s\S]*CXXFLAGS=-Wno-error npm run setup/)
    expect(existsSync(machine.at('build/current.json'))).toBe(false)
  })

  it('refuses an add-on that does not load, and tries again next time', async (context) => {
    if (!canBuild) context.skip('needs Linux, a C++ compiler and readelf')
    const libtorch = await addEmptyLibTorch('one')
    machine.write('native/missing.cpp', `int elsewhere();\n${source('elsewhere()')}`)
    const error = await refusalWith(libtorch)
    expect(error.exitCode).toBe(5)
    expect(error.message).toMatch(/does not load[\s\S]*undefined symbol/)
    expect(readdirSync(machine.at('build'))).toEqual(['objects'])
  })
})

describe('hardeningFaults', () => {
  it('finds none in the add-on of this clone', async (context) => {
    const currentFile = path.join(torchDir, 'build/current.json')
    if (!existsSync(currentFile)) context.skip('the add-on is not built: npm run setup')
    if (!isLinux || !findProgram('readelf')) context.skip('needs Linux and readelf')
    const { addon } = JSON.parse(readFileSync(currentFile, 'utf8'))
    expect(await hardeningFaults(path.join(torchDir, 'build', addon))).toEqual([])
  })

  it('finds what a careless build leaves open', async (context) => {
    if (compiler === undefined || !isLinux || !findProgram('readelf')) {
      context.skip('needs Linux, a C++ compiler and readelf')
    }
    const library = machine.at('careless.so')
    const code = machine.write('careless.cpp', 'int reachable() { return 1; }\n')
    const flags = [
      '-shared',
      '-fPIC',
      '-fno-stack-protector',
      '-Wl,-z,norelro,-z,lazy,-z,execstack',
      '-Wl,-rpath,.:/tmp',
    ]
    await runCommand(compiler.command[0], [...compiler.command.slice(1), ...flags, code, '-o', library])
    expect(await hardeningFaults(library)).toEqual([
      'no RELRO segment',
      'symbols are bound lazily (no BIND_NOW)',
      'the stack is executable',
      'no stack protector',
      'exports _Z9reachablev',
      'the run path . is relative',
      'the run path /tmp can be written by everybody',
    ])
  })
})

describe('flags', () => {
  const at = (version) => ({ version, includeDirs: ['/t/include'], libDir: '/t/lib', cuda: false })

  it('take C++17 for LibTorch 1.13 and C++20 from 2.6 on', () => {
    const standards = ['1.13.0', '2.5.1', '2.6.0', '3.0.0'].map(
      (version) => compileFlags({ libtorch: at(version), nativeDir: '/n', nodeIncludeDir: '/h', env: {} })[0],
    )
    expect(standards).toEqual(['-std=c++17', '-std=c++17', '-std=c++20', '-std=c++20'])
  })

  it('give inner loops the instructions that their file is named after, and no other file any', () => {
    const flagsOf = (file, arch = 'x64') => unitFlags(`/n/kernels/${file}`, arch)
    expect(flagsOf('loops.avx512.cpp')).toEqual(
      expect.arrayContaining(['-O3', '-mfma', '-mavx512f', '-mavx512vl']),
    )
    const flags = ['loops.avx2.cpp', 'loops.generic.cpp', 'loops.cpp', 'attention.cpp'].map((file) =>
      flagsOf(file).filter((flag) => /^-m(avx|fma)/.test(flag)),
    )
    expect(flags).toEqual([['-mavx2', '-mfma'], [], [], []])
    expect(flagsOf('loops.avx512.cpp', 'arm64')).toEqual(flagsOf('loops.generic.cpp', 'arm64'))
  })

  it('leave out what the compiler does not know', async () => {
    const wanted = unitFlags('loops.avx512bf16.cpp', 'x64')
    expect(wanted).toEqual(expect.arrayContaining(['-mavx512f', '-mavx512bf16']))
    // Programs in a compiler's place: one takes everything, one nothing.
    expect(await knownFlags({ command: ['true'] }, wanted)).toEqual(wanted)
    expect(await knownFlags({ command: ['false'] }, wanted)).toEqual(
      wanted.filter((flag) => flag !== '-mavx512bf16'),
    )
  })

  it('put the BLAS folder before LibTorch in the run path, and the flags of the user last', () => {
    const flags = linkFlags({
      libtorch: at('1.13.0'),
      platform: 'linux',
      openblas: '/blas',
      env: { LDFLAGS: '-s  -v' },
    })
    expect(flags.filter((flag) => flag.includes('rpath'))).toEqual(['-Wl,-rpath,/blas', '-Wl,-rpath,/t/lib'])
    expect(flags).toContain('-Wl,--disable-new-dtags')
    expect(flags.slice(-2)).toEqual(['-s', '-v'])
  })
})
