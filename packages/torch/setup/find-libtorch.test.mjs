import { rmSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import { createFakeHost } from './fake-host.test.fixture.mjs'
import { debianVersion, findLibTorch } from './find-libtorch.mjs'

const fakes = []
function fake(options) {
  const created = createFakeHost(options)
  fakes.push(created)
  return created
}
afterEach(() => {
  for (const created of fakes.splice(0)) created.remove()
})

describe('findLibTorch', () => {
  it('prefers each place of the documented order to all later ones', () => {
    let python
    const machine = fake({ python: () => python })
    const { host } = machine
    const flag = machine.addLibTorch('by-flag', { version: '2.10.0' })
    const variable = machine.addLibTorch('by-variable', { version: '2.9.0' })
    machine.addPythonTorch('venv', { version: '2.8.0' })
    const earlier = machine.addLibTorch('earlier', { version: '2.7.1' })
    machine.addLibTorch('project/libtorch', { version: '2.7.0' })
    machine.addLibTorch('usr', { version: '2.6.1', lib: 'lib/x86_64-linux-gnu' })
    machine.write('etc/debian_version', '13')
    machine.addLibTorch('opt/homebrew/opt/pytorch', { version: '2.5.0' })
    python = machine.addPythonTorch('python', { version: '2.4.0' })

    const kinds = () => {
      const { kind, version } = findLibTorch(host, choice).chosen
      return `${kind} ${version}`
    }
    const choice = { explicit: flag, remembered: earlier }
    host.env.LIBTORCH = variable
    host.env.LIBTORCH_USE_PYTORCH = '1'
    host.env.VIRTUAL_ENV = machine.at('venv')
    expect(kinds()).toBe('--libtorch 2.10.0')
    delete choice.explicit
    expect(kinds()).toBe('LIBTORCH 2.9.0')
    delete host.env.LIBTORCH
    expect(kinds()).toBe('LIBTORCH_USE_PYTORCH 2.8.0')
    delete host.env.LIBTORCH_USE_PYTORCH
    expect(kinds()).toBe('remembered 2.7.1')
    delete choice.remembered
    expect(kinds()).toBe('environment 2.8.0')
    delete host.env.VIRTUAL_ENV
    expect(kinds()).toBe('project 2.7.0')
    rmSync(machine.at('project/libtorch'), { recursive: true })
    expect(kinds()).toBe('debian 2.6.1')
    rmSync(machine.at('usr'), { recursive: true })
    expect(kinds()).toBe('homebrew 2.5.0')
    rmSync(machine.at('opt'), { recursive: true })
    expect(kinds()).toBe('python 2.4.0')
    python = undefined
    expect(findLibTorch(host, choice).chosen).toBeUndefined()
  })

  it('tells for every place why it was passed over', () => {
    const machine = fake()
    machine.addLibTorch('project/libtorch', { version: '2.0.1' })
    const { considered, chosen } = findLibTorch(machine.host)
    expect(chosen).toBeUndefined()
    expect(considered.map(({ where, outcome }) => `${where}: ${outcome}`).join('\n')).toMatch(
      /--libtorch: not given\nLIBTORCH: not set\n.*\n.*none is active\n.*LibTorch 2\.0\.1 .*refused.*\n\/usr: no torch.*\n.*\nHomebrew pytorch: not installed\npython3: has no torch/,
    )
  })

  it('reads Debian headers without naming /usr/include, which would break the C++ library', () => {
    const machine = fake()
    machine.write('etc/debian_version', '12')
    machine.addLibTorch('usr', { version: '1.13.0', lib: 'lib/x86_64-linux-gnu' })
    expect(findLibTorch(machine.host).chosen).toMatchObject({
      version: '1.13.0',
      root: machine.at('usr'),
      includeDirs: [machine.at('usr/include/torch/csrc/api/include')],
      libDir: machine.at('usr/lib/x86_64-linux-gnu'),
      cuda: false,
    })
  })

  it('takes headers from LIBTORCH_INCLUDE and libraries from LIBTORCH_LIB', () => {
    const machine = fake()
    machine.addLibTorch('a')
    machine.addLibTorch('b', { cuda: true })
    rmSync(machine.at('a/lib'), { recursive: true })
    rmSync(machine.at('b/include'), { recursive: true })
    Object.assign(machine.host.env, { LIBTORCH_INCLUDE: machine.at('a'), LIBTORCH_LIB: machine.at('b/lib') })
    expect(findLibTorch(machine.host).chosen).toMatchObject({
      kind: 'LIBTORCH',
      includeDirs: [machine.at('a/include'), machine.at('a/include/torch/csrc/api/include')],
      libDir: machine.at('b/lib'),
      cuda: true,
    })
  })

  it('stops at a place that the user named and that is wrong, instead of taking another', () => {
    const machine = fake()
    machine.addLibTorch('project/libtorch')
    const wrong = machine.at('wrong')
    expect(findLibTorch(machine.host, { explicit: wrong }).refused).toMatch(
      /^--libtorch \(.*wrong\): no torch/,
    )
    expect(findLibTorch(machine.host, { remembered: wrong }).refused).toMatch(
      /^--libtorch of an earlier run .*no torch.*--libtorch auto" forgets it/,
    )
    machine.host.env.LIBTORCH = wrong
    expect(findLibTorch(machine.host).refused).toMatch(/^LIBTORCH \(.*wrong\): no torch/)
    delete machine.host.env.LIBTORCH
    machine.host.env.LIBTORCH_USE_PYTORCH = '1'
    expect(findLibTorch(machine.host)).toMatchObject({
      chosen: undefined,
      refused: 'LIBTORCH_USE_PYTORCH: python3 has no torch package',
    })
  })

  it('goes on past an active environment whose torch it cannot use', () => {
    const machine = fake()
    machine.host.env.VIRTUAL_ENV = machine.at('venv')
    machine.addPythonTorch('venv', { version: '2.5.1', abi: 'pre-cxx11' })
    machine.addLibTorch('project/libtorch', { version: '2.6.0' })
    const { chosen, considered } = findLibTorch(machine.host)
    expect(chosen.kind).toBe('project')
    expect(considered.find(({ kind }) => kind === 'environment').outcome).toMatch(
      /2\.5\.1.*refused.*C\+\+ ABI/,
    )
  })
})

describe('debianVersion', () => {
  it('counts only packages that are installed now', () => {
    const machine = fake()
    machine.write(
      'var/lib/dpkg/status',
      'Package: a\nStatus: install ok installed\nVersion: 1-2\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 3\n',
    )
    expect(['a', 'b', 'c'].map((name) => debianVersion(machine.host, name))).toEqual([
      '1-2',
      undefined,
      undefined,
    ])
  })
})
