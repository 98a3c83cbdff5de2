import { chmodSync, mkdirSync, readFileSync, utimesSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listsAreStale, missingPackages, usesSystemBlas } from './apt.mjs'
import { createFakeHost } from './fake-host.test.fixture.mjs'
import { findLibTorch } from './find-libtorch.mjs'
import { requireLibTorch } from './require-libtorch.mjs'
import { SetupError } from './setup-error.mjs'

let machine
beforeEach(() => {
  machine = createFakeHost()
})
afterEach(() => machine.remove())

function addDebianLibTorch() {
  machine.write('etc/debian_version', '12')
  machine.addLibTorch('usr', { version: '1.13.0', lib: 'lib/x86_64-linux-gnu' })
}

/** A program of the fake machine; everything else that it calls comes from the real one. */
function addProgram(name, script) {
  chmodSync(machine.write(`bin/${name}`, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`), 0o755)
  machine.host.env.PATH = machine.at('bin')
}

describe('missingPackages', () => {
  it('asks for everything on a bare machine and for nothing on a complete one', () => {
    const bare = missingPackages(machine.host, { chosen: undefined, hasCompiler: false })
    expect(bare).toEqual(['g++', 'libtorch-dev', 'libopenblas0-openmp'])
    addDebianLibTorch()
    machine.write('usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3', '')
    const { chosen } = findLibTorch(machine.host)
    expect(missingPackages(machine.host, { chosen, hasCompiler: true })).toEqual([])
  })

  it('asks for the BLAS library only where LibTorch is the one of Debian', () => {
    addDebianLibTorch()
    const debian = findLibTorch(machine.host).chosen
    const own = machine.addLibTorch('project/libtorch')
    const zip = findLibTorch(machine.host).chosen
    expect(zip.root).toBe(own)
    expect(missingPackages(machine.host, { chosen: debian, hasCompiler: true })).toEqual([
      'libopenblas0-openmp',
    ])
    expect(missingPackages(machine.host, { chosen: zip, hasCompiler: false })).toEqual(['g++'])
    expect([debian, zip].map((libtorch) => usesSystemBlas(libtorch, machine.host))).toEqual([true, false])
  })
})

describe('listsAreStale', () => {
  it('holds for a missing, an empty and a week-old folder of lists', () => {
    const lists = machine.at('lists')
    expect(listsAreStale(lists)).toBe(true)
    mkdirSync(machine.at('lists/partial'), { recursive: true })
    expect(listsAreStale(lists)).toBe(true)
    machine.write('lists/example_main_binary-amd64_Packages.lz4', '')
    expect(listsAreStale(lists)).toBe(false)
    const eightDaysMs = 8 * 24 * 3600 * 1000
    expect(listsAreStale(lists, Date.now() + eightDaysMs)).toBe(true)
    utimesSync(machine.at('lists/partial'), new Date(), new Date(Date.now() + eightDaysMs))
    expect(listsAreStale(lists, Date.now() + eightDaysMs)).toBe(false)
  })
})

describe('requireLibTorch', () => {
  const progress = { line() {}, warn() {}, timed: (_kind, _label, work) => work() }

  it('without root prints the one command that mends a Debian machine', async () => {
    machine.write('etc/debian_version', '12')
    addProgram('apt-get', 'exit 1')
    const error = await requireLibTorch(machine.host, {}, progress, false).catch((caught) => caught)
    expect(error).toBeInstanceOf(SetupError)
    expect(error.exitCode).toBe(5)
    expect(error.message).toContain('LibTorch was not found. Looked in:\n  --libtorch: not given\n')
    expect(error.message).toContain(
      '\n  sudo apt-get install -y --no-install-recommends g++ libtorch-dev libopenblas0-openmp\n',
    )
  })

  it('as root installs what is missing with one call and refreshes the lists only when it must', async () => {
    machine.write('etc/debian_version', '12')
    const source = machine.addLibTorch('archive', { version: '1.13.0', lib: 'lib/x86_64-linux-gnu' })
    const log = machine.at('apt.log')
    const install = `cp -r ${source} ${machine.at('usr')}; printf '#!/bin/sh\\necho fake 1\\n' > ${machine.at('bin/g++')}; chmod 755 ${machine.at('bin/g++')}`
    addProgram('apt-get', `echo "$@" >> ${log}; case "$1" in install) ${install};; esac`)
    const { libtorch, compiler } = await requireLibTorch(machine.host, {}, progress, true)
    expect([libtorch.kind, compiler.version]).toEqual(['debian', 'fake 1'])
    expect(readFileSync(log, 'utf8')).toBe(
      'update\ninstall -y --no-install-recommends g++ libtorch-dev libopenblas0-openmp\n',
    )
  })

  it('refreshes lists that were fresh when installing fails, and gives the words of apt when it fails again', async () => {
    machine.write('etc/debian_version', '12')
    machine.write('var/lib/apt/lists/example_Packages', '')
    const log = machine.at('apt.log')
    addProgram('apt-get', `echo "$1" >> ${log}; echo "no such archive"; [ "$1" = update ]`)
    const error = await requireLibTorch(machine.host, {}, progress, true).catch((caught) => caught)
    expect(readFileSync(log, 'utf8')).toBe('install\nupdate\ninstall\n')
    expect([error.exitCode, error.message]).toEqual([5, expect.stringMatching(/failed:\nno such archive$/)])
  })

  it('goes on with a warning when only the BLAS library cannot be installed', async () => {
    addDebianLibTorch()
    addProgram('apt-get', 'exit 1')
    addProgram('g++', 'echo fake 1')
    const warnings = []
    const warning = { ...progress, warn: (text) => warnings.push(text) }
    for (const isRoot of [true, false]) {
      expect((await requireLibTorch(machine.host, {}, warning, isRoot)).libtorch.kind).toBe('debian')
    }
    expect(warnings[0]).toMatch(/install .* libopenblas0-openmp failed[\s\S]*number of threads/)
    expect(warnings[1]).toMatch(/Run: sudo apt-get install -y --no-install-recommends libopenblas0-openmp$/)
  })

  it('on other systems lists what was looked at and other ways', async () => {
    const error = await requireLibTorch(machine.host, {}, progress, true).catch((caught) => caught)
    expect(error.exitCode).toBe(5)
    expect(error.message).not.toContain('apt-get')
    expect(error.message).toContain('python3: has no torch')
    expect(error.message).toContain('LIBTORCH_USE_PYTORCH=1')
    expect(error.message).toContain('LIBTORCH=/path/to/libtorch')
  })

  it('names the compiler that is missing when only that is', async () => {
    machine.addLibTorch('project/libtorch')
    machine.host.env.CXX = 'no-such-compiler'
    const error = await requireLibTorch(machine.host, {}, progress, true).catch((caught) => caught)
    expect(error.message).toMatch(/^No C\+\+ compiler was found: looked for no-such-compiler/)
  })
})
