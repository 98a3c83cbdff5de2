import { existsSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from '../../packages/torch/setup/fake-host.test.fixture.mjs'
import { compileTypeScript } from './compile-typescript.mjs'

const typescript = path.resolve(import.meta.dirname, '../../node_modules/typescript')
const progress = { line() {}, timed: (_kind, _label, work) => work() }
let machine
beforeEach(() => {
  machine = createFakeHost()
  const outputs = { composite: true, rootDir: 'src', outDir: 'dist' }
  const compilerOptions = { ...outputs, module: 'NodeNext', types: [], lib: ['ES5'], skipLibCheck: true }
  machine.write('package-lock.json', '{}')
  machine.write('tsconfig.base.json', '{}')
  machine.write('packages/adapt/package.json', '{"type":"module"}')
  machine.write('packages/adapt/tsconfig.json', JSON.stringify({ compilerOptions, include: ['src/**/*.ts'] }))
  machine.write('packages/adapt/src/one.ts', 'export const one: number = 1\n')
  machine.write('node_modules/.keep', '')
  symlinkSync(typescript, machine.at('node_modules/typescript'))
})
afterEach(() => machine.remove())

describe('compileTypeScript', () => {
  it('runs the compiler once, and again only after a change or a lost output', async () => {
    const compile = () => compileTypeScript(machine.prefix, progress)
    expect(await compile()).toBe(true)
    expect(existsSync(machine.at('packages/adapt/dist/one.js'))).toBe(true)
    expect(await compile()).toBe(false)

    const later = new Date(Date.now() + 5000)
    utimesSync(machine.at('packages/adapt/src/one.ts'), later, later)
    expect(await compile()).toBe(true)
    expect(await compile()).toBe(false)

    rmSync(machine.at('packages/adapt/dist'), { recursive: true })
    expect(await compile()).toBe(true)
    expect(existsSync(machine.at('packages/adapt/dist/one.js'))).toBe(true)
  })

  it('removes the outputs of sources that are gone, and nothing else', async () => {
    machine.write('packages/adapt/src/two.test.ts', 'export const two = 2\n')
    await compileTypeScript(machine.prefix, progress)
    machine.write('packages/adapt/dist/vendor.js', '')
    rmSync(machine.at('packages/adapt/src/two.test.ts'))
    await compileTypeScript(machine.prefix, progress)
    const exists = (name) => existsSync(machine.at(`packages/adapt/dist/${name}`))
    expect(['one.js', 'two.test.js', 'two.test.d.ts', 'vendor.js'].map(exists)).toEqual([
      true,
      false,
      false,
      true,
    ])
  })

  it('fails with the messages of the compiler and tries again next time', async () => {
    machine.write('packages/adapt/src/one.ts', "export const one: number = 'one'\n")
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await compileTypeScript(machine.prefix, progress).catch((caught) => caught)
      expect(error.exitCode).toBe(1)
      expect(error.message).toMatch(/src\/one\.ts.*error TS2322/)
    }
  })
})
