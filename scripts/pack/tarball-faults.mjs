import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const unwanted = /\.test\.|(^|\/)(testing|golden|build|node_modules)\/|\.tsbuildinfo$/
const installScripts = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']

/**
 * What is wrong with an unpacked package: files that do not belong to it, maps and entry points that lead nowhere, and
 * scripts that would run on installation.
 * @returns {string[]} one sentence per fault
 */
export function tarballFaults(folder) {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)))
  const exists = (name) => existsSync(path.join(folder, name))
  const faults = files
    .filter((file) => unwanted.test(file))
    .map((file) => `${file}: does not belong in a package`)
  for (const file of files.filter((name) => name.endsWith('.map'))) {
    const { sources, sourcesContent } = JSON.parse(readFileSync(path.join(folder, file), 'utf8'))
    const missing = sources.filter((source) => !exists(path.join(path.dirname(file), source)))
    if (missing.length > 0 && sourcesContent === undefined)
      faults.push(`${file}: its source ${missing[0]} is missing`)
  }
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    if (!exists(file.replace(/\.js$/, '.d.ts'))) faults.push(`${file}: has no types`)
  }
  for (const target of targets([manifest.exports, manifest.bin])) {
    if (!exists(target)) faults.push(`package.json: ${target} is missing`)
  }
  for (const name of installScripts) {
    if (manifest.scripts?.[name]) faults.push(`package.json: ${name} would run on installation`)
  }
  if (!exists('LICENSE')) faults.push('LICENSE is missing')
  return faults
}

function targets(value) {
  if (typeof value === 'string') return [value]
  return value === null || typeof value !== 'object' ? [] : Object.values(value).flatMap(targets)
}
