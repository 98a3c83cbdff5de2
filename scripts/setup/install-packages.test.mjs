import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from '../../packages/torch/setup/fake-host.test.fixture.mjs'
import { installedMatchesLock, installPackages } from './install-packages.mjs'
import { lockfileFaults } from './lockfile-faults.mjs'

let machine
beforeEach(() => {
  machine = createFakeHost()
})
afterEach(() => machine.remove())

const packages = {
  '': { name: 'demo' },
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/elsewhere': { version: '1.0.0', integrity: 'sha512-e', optional: true, os: ['aix'] },
}

function layOut({ installed = packages } = {}) {
  machine.write('package-lock.json', JSON.stringify({ packages }))
  const { 'node_modules/elsewhere': _, ...rest } = installed
  machine.write('node_modules/.package-lock.json', JSON.stringify({ packages: rest }))
  machine.write('node_modules/a/package.json', '{}')
}

describe('installPackages', () => {
  it('does nothing, and remembers that, when the packages of the lock file are in place', async () => {
    layOut()
    const lines = []
    const progress = { line: (text) => lines.push(text), timed: () => lines.push('ran npm') }
    expect(await installPackages(machine.prefix, progress)).toBe(false)
    rmSync(machine.at('node_modules/.package-lock.json'))
    expect(await installPackages(machine.prefix, progress)).toBe(false)
    expect(lines).toEqual([])
  })

  it('installs again when the lock file changes', async () => {
    layOut()
    const ran = []
    const progress = { line() {}, timed: (_kind, label) => ran.push(label) }
    await installPackages(machine.prefix, progress)
    const changed = { ...packages, 'node_modules/b': { version: '1.0.0', integrity: 'sha512-b' } }
    writeFileSync(machine.at('package-lock.json'), JSON.stringify({ packages: changed }))
    expect(await installPackages(machine.prefix, progress)).toBe(true)
    expect(ran).toEqual(['npm packages'])
  })
})

describe('installedMatchesLock', () => {
  it('sees another version, another content and a folder that is gone', () => {
    const wrong = [{ version: '1.0.1' }, { integrity: 'sha512-x' }]
    for (const change of wrong) {
      layOut({ installed: { ...packages, 'node_modules/a': { ...packages['node_modules/a'], ...change } } })
      expect(installedMatchesLock(machine.prefix)).toBe(false)
    }
    layOut()
    expect(installedMatchesLock(machine.prefix)).toBe(true)
    rmSync(machine.at('node_modules/a'), { recursive: true })
    expect(installedMatchesLock(machine.prefix)).toBe(false)
  })
})

describe('lockfileFaults', () => {
  it('finds none in the lock file of this project', () => {
    const file = path.resolve(import.meta.dirname, '../../package-lock.json')
    expect(lockfileFaults(JSON.parse(readFileSync(file, 'utf8')))).toEqual([])
  })

  it('finds a missing hash, an install script, a download address, an optional package that is not locked and one that comes uncalled', () => {
    const lock = {
      packages: {
        '': { dependencies: Object.fromEntries([...'abcdefghijkl'].map((name) => [name, '1.0.0'])) },
        'node_modules/a': { version: '1.0.0' },
        'node_modules/b': {
          integrity: 'sha512-b',
          hasInstallScript: true,
          resolved: 'https://registry.example/b.tgz',
        },
        'node_modules/c': { integrity: 'sha512-c', optionalDependencies: { 'c-linux': '1.0.0' } },
        'node_modules/d': { link: true, resolved: '../d' },
        'node_modules/x': { integrity: 'sha512-x' },
        'node_modules/tool': { integrity: 'sha512-t', dev: true },
      },
    }
    expect(lockfileFaults(lock)).toEqual([
      'node_modules/a: has no SHA-512 integrity',
      'node_modules/b: has an install script',
      'node_modules/b: names a download address',
      'node_modules/c: its optional package c-linux is not locked, so npm ci refuses the lock file',
      'node_modules/d: links outside packages/',
      'node_modules/x: comes with another runtime package',
    ])
    lock.packages['node_modules/@huggingface/tasks'] = { integrity: 'sha512-p' }
    expect(lockfileFaults(lock)).toContain(
      'node_modules/@huggingface/tasks: comes with another runtime package',
    )
    lock.packages[''].dependencies['@huggingface/hub'] = '1.0.0'
    expect(lockfileFaults(lock).join()).not.toContain('@huggingface/tasks')
    delete lock.packages[''].dependencies['@huggingface/hub']
    lock.packages[''].dependencies.m = '1.0.0'
    expect(lockfileFaults(lock)).toContain('12 runtime packages, at most 11 are allowed')
  })
})
