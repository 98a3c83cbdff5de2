import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** Folders of the repository that no part of the check reads. */
const UNUSED = [
  '.ci',
  'docs',
  'experiments',
  'reliability',
  'tools/data',
  'bench/results',
  'examples/licenses',
]
/** Packages that tests need beside those of the product. */
const TEST_PACKAGES = ['@vitest/runner', '@vitest/expect', 'fast-check']

/** Every file below `folder`, links not followed; paths from `root` on, sorted. */
function filesBelow(root, folder) {
  if (!existsSync(path.join(root, folder))) return []
  return readdirSync(path.join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const file = path.join(folder, entry.name)
      return entry.isDirectory() ? filesBelow(root, file) : [file]
    })
    .sort()
}

/** The folders of packages that `names` need, themselves included, as package-lock.json has them. */
export function packageClosure(lock, names) {
  const found = new Set()
  const visit = (name, from) => {
    // Node's rule: the nearest node_modules folder on the way up.
    let folder = from
    while (folder !== '' && !lock.packages[`${folder}/node_modules/${name}`])
      folder = folder.includes('/node_modules/') ? folder.slice(0, folder.lastIndexOf('/node_modules/')) : ''
    const key = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    const entry = lock.packages[key]
    if (!entry || found.has(key)) return
    found.add(key)
    if (entry.link) {
      for (const needed of Object.keys(lock.packages[entry.resolved].dependencies ?? {})) visit(needed, '')
      return
    }
    for (const needed of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }))
      visit(needed, key)
  }
  for (const name of names) visit(name, '')
  return [...found].sort()
}

/** What runs: no types, source maps, sources of compiled packages, pages, or binaries of other systems. */
export function isNeededOfPackage(file, { platform, arch }) {
  const name = path.basename(file)
  if (/^(LICENSE|LICENCE|NOTICE)/i.test(name)) return true
  if (name.endsWith('.node')) return name.includes(`${platform}-${arch}-gnu`)
  return /\.(js|mjs|cjs|json|wasm|h|css)$/.test(name) && !name.endsWith('.iife.js')
}

/**
 * The files that the check of a device needs, by where they come from; every path is relative to `root`.
 * @returns {{ groups: Record<string, string[]>, leftOut: string[] }}
 */
export function carriedFiles(root, host = { platform: process.platform, arch: process.arch }) {
  const isUnused = (file) => UNUSED.some((folder) => file.startsWith(`${folder}/`))
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && existsSync(path.join(root, file)))
  const packages = readdirSync(path.join(root, 'packages')).map((name) => `packages/${name}`)
  const dist = [...packages, 'bench'].flatMap((folder) =>
    filesBelow(root, `${folder}/dist`).filter((file) => file.endsWith('.js')),
  )
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'))
  const own = Object.keys(lock.packages)
    .filter((key) => lock.packages[key].link)
    .map((key) => key.slice('node_modules/'.length))
  const folders = packageClosure(lock, [...own, ...TEST_PACKAGES])
  const modules = folders.flatMap((folder) => {
    if (!existsSync(path.join(root, folder))) return []
    if (lstatSync(path.join(root, folder)).isSymbolicLink()) return [folder]
    return filesBelow(root, folder).filter(
      (file) => !file.startsWith(`${folder}/node_modules/`) && isNeededOfPackage(file, host),
    )
  })
  const absent = Object.keys(lock.packages).filter(
    (key) => key.startsWith('node_modules/') && !folders.includes(key) && existsSync(path.join(root, key)),
  )
  return {
    groups: { tracked: tracked.filter((file) => !isUnused(file)), dist, node_modules: modules },
    leftOut: [
      ...UNUSED.filter((folder) => tracked.some((file) => file.startsWith(`${folder}/`))).map(
        (folder) => `${folder}/`,
      ),
      'types and source maps in dist/',
      `types, pages, source maps and binaries of other systems than ${host.platform}-${host.arch} in node_modules/`,
      ...absent,
    ],
  }
}
