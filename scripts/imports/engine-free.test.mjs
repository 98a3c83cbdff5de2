import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { engineFreeFolders } from './rules.mjs'

const packageDir = path.resolve(import.meta.dirname, '../../packages/adapt')

/** Imports modules one after another in a process of its own; the native add-ons that are loaded after each. */
function addonsAfter(modules, then = '') {
  const script = `
    const addons = () => process.report.getReport().sharedObjects.filter((file) => file.endsWith('.node'))
    const seen = {}
    for (const name of ${JSON.stringify(modules)}) {
      await import(name)
      seen[name] = addons()
    }
    ${then}
    console.log(JSON.stringify(seen))`
  // Each look lists the open sockets too, by their names in the network.
  const args = ['--input-type=module', '--report-exclude-network', '-e', script]
  return JSON.parse(execFileSync(process.execPath, args, { cwd: packageDir, encoding: 'utf8' }))
}

describe('a folder that works without the engine', () => {
  const folders = engineFreeFolders.filter((folder) =>
    existsSync(path.join(packageDir, 'src', folder, 'index.ts')),
  )
  const indexes = folders.map((folder) => `./dist/${folder}/index.js`)

  it('loads without its add-on', () => {
    const seen = addonsAfter(indexes)
    for (const index of indexes) expect([index, seen[index].filter(isEngine)]).toEqual([index, []])
  })

  it('is told from one that uses the engine', () => {
    const use = `(await import('@adapt-ts/torch')).buildInfo(); seen.used = addons()`
    expect(addonsAfter(['./dist/index.js'], use)).toMatchObject({
      './dist/index.js': expect.not.arrayContaining([expect.stringContaining('torch')]),
      used: expect.arrayContaining([expect.stringContaining('torch')]),
    })
  })

  it('is reached by the name of the package', () => {
    const { exports } = JSON.parse(
      execFileSync(process.execPath, ['-p', 'JSON.stringify(require("./package.json"))'], {
        cwd: packageDir,
        encoding: 'utf8',
      }),
    )
    const inner = Object.keys(exports).filter((name) => !['.', './package.json'].includes(name))
    expect(inner.length).toBeGreaterThan(0)
    const seen = addonsAfter(inner.map((name) => path.posix.join('@adapt-ts/adapt', name)))
    for (const addons of Object.values(seen)) expect(addons.filter(isEngine)).toEqual([])
    for (const name of inner) expect(folders).toContain(name.slice(2))
  })
})

const isEngine = (addon) => addon.includes('torch')
