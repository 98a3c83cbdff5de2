import { statSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { carriedFiles, isNeededOfPackage, packageClosure } from './carried-files.mjs'

const root = path.resolve(import.meta.dirname, '../..')

describe('packageClosure', () => {
  it('takes what is needed, from the nearest folder, and nothing else', () => {
    const lock = {
      packages: {
        'packages/own': { dependencies: { a: '1.0.0' } },
        'node_modules/own': { link: true, resolved: 'packages/own' },
        'node_modules/a': { dependencies: { b: '2.0.0' }, optionalDependencies: { absent: '1.0.0' } },
        'node_modules/a/node_modules/b': { dependencies: { c: '1.0.0' } },
        'node_modules/b': {},
        'node_modules/c': { dependencies: { a: '1.0.0' } },
        'node_modules/tool': { dev: true },
      },
    }
    expect(packageClosure(lock, ['own'])).toEqual([
      'node_modules/a',
      'node_modules/a/node_modules/b',
      'node_modules/c',
      'node_modules/own',
    ])
  })
})

describe('isNeededOfPackage', () => {
  it('leaves types, pages and binaries of other systems behind', () => {
    const host = { platform: 'linux', arch: 'x64' }
    const files = [
      'a.js',
      'a.d.ts',
      'a.js.map',
      'README.md',
      'LICENSE',
      'x.linux-x64-gnu.node',
      'x.darwin-arm64.node',
    ]
    expect(files.filter((file) => isNeededOfPackage(file, host))).toEqual([
      'a.js',
      'LICENSE',
      'x.linux-x64-gnu.node',
    ])
  })
})

describe('carriedFiles', () => {
  const { groups, leftOut } = carriedFiles(root, { platform: 'linux', arch: 'x64' })
  const files = new Set(Object.values(groups).flat())

  it('holds what the check runs, and says what it leaves out', () => {
    for (const file of [
      'packages/torch/native/dispatch.cpp',
      'packages/torch/bin/adapt-torch-build.mjs',
      'packages/adapt/dist/cli/index.js',
      'packages/adapt/dist/train/golden-adapt.test.js',
      'packages/adapt/golden/adapt-step/case.json',
      'bench/dist/peer.bench.js',
      'bench/python/peer.py',
      'tools/reference/safetensors_file.py',
      'examples/base/model/model.safetensors',
      'node_modules/node-api-headers/include/node_api.h',
      'node_modules/tokenizers/tokenizers.linux-x64-gnu.node',
      'node_modules/@vitest/runner/dist/index.js',
      'node_modules/@adapt-ts/torch',
    ])
      expect(files, file).toContain(file)
    expect([...files].filter((file) => /node_modules\/(typescript|vite|@biomejs)\//.test(file))).toEqual([])
    expect(leftOut).toEqual(expect.arrayContaining(['docs/', 'node_modules/typescript']))
  })

  it('fits beside a compressed Node into 60 MiB, whatever the compression', () => {
    const bytes = [...files].reduce((sum, file) => sum + statSync(path.join(root, file)).size, 0)
    expect(bytes).toBeLessThan(36 * 2 ** 20)
  })
})
