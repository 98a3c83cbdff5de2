import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { documentedExample } from './documented-example.mjs'
import { tarballFaults } from './tarball-faults.mjs'

const projectDir = path.resolve(import.meta.dirname, '../..')

describe('documentedExample', () => {
  it('takes the block after the marker, and says when there is none', () => {
    const text =
      'a\n```ts\nother\n```\n<!-- example: x -->\n```ts\nconst a = 1\nconst b = `c`\n```\n```ts\nlater\n```\n'
    expect(documentedExample(text, 'x')).toBe('const a = 1\nconst b = `c`\n')
    expect(() => documentedExample(text, 'y')).toThrow(/right after <!-- example: y -->/)
    expect(() => documentedExample('<!-- example: x -->\ntext\n```ts\nno\n```\n', 'x')).toThrow(/no block/)
  })

  it('finds a program of 20 lines and a run of less in the README of this project', () => {
    const readme = readFileSync(path.join(projectDir, 'README.md'), 'utf8')
    const linesOf = (name) => documentedExample(readme, name).trimEnd().split('\n').length
    expect(linesOf('parts')).toBeLessThanOrEqual(20)
    expect(linesOf('run')).toBeLessThanOrEqual(10)
  })
})

describe('tarballFaults', () => {
  let folder
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-pack-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const write = (name, text) => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), text)
  }

  it('finds none in a whole package', () => {
    write(
      'package.json',
      JSON.stringify({ exports: { '.': { default: './dist/a.js' } }, scripts: { test: 'x' } }),
    )
    write('LICENSE', '')
    write('src/a.ts', '')
    write('dist/a.js', '')
    write('dist/a.d.ts', '')
    write('dist/a.js.map', JSON.stringify({ sources: ['../src/a.ts'] }))
    expect(tarballFaults(folder)).toEqual([])
  })

  it('finds tests, lost sources, missing types and targets, and install scripts', () => {
    const manifest = { bin: { a: './bin/a.mjs' }, exports: './dist/a.js', scripts: { postinstall: 'x' } }
    write('package.json', JSON.stringify(manifest))
    write('dist/a.js', '')
    write('dist/a.js.map', JSON.stringify({ sources: ['../src/a.ts'] }))
    write('dist/a.test.js', '')
    write('tsconfig.tsbuildinfo', '')
    expect(tarballFaults(folder).sort()).toEqual([
      'LICENSE is missing',
      'dist/a.js.map: its source ../src/a.ts is missing',
      'dist/a.js: has no types',
      'dist/a.test.js: does not belong in a package',
      'dist/a.test.js: has no types',
      'package.json: ./bin/a.mjs is missing',
      'package.json: postinstall would run on installation',
      'tsconfig.tsbuildinfo: does not belong in a package',
    ])
  })
})
