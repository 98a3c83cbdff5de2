import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import ts from 'typescript'
import { listFiles } from '../../packages/torch/setup/stamp.mjs'
import { fileCircles } from './file-circles.mjs'
import { adaptFolders, hiddenFolders } from './rules.mjs'
import { sizeFaults } from './size-faults.mjs'

const packageNames = { adapt: '@adapt-ts/adapt', torch: '@adapt-ts/torch' }

/**
 * Checks who imports whom, over the sources of packages/adapt and packages/torch.
 * @param {string} projectDir
 * @returns {{ faults: string[], numFiles: number }} faults as `file:line: sentence`
 */
export function findImportFaults(projectDir) {
  const faults = []
  let numFiles = 0
  for (const name of Object.keys(packageNames)) {
    const packageDir = path.join(projectDir, 'packages', name)
    const sourceDir = path.join(packageDir, 'src')
    const dependencies = new Set(
      Object.keys(readJson(path.join(packageDir, 'package.json')).dependencies ?? {}),
    )
    const developed = new Set(
      Object.keys(readJson(path.join(projectDir, 'package.json')).devDependencies ?? {}),
    )
    const edges = new Map()
    const files = new Map()
    for (const file of listFiles(sourceDir, (candidate) => candidate.endsWith('.ts'))) {
      numFiles++
      const text = readFileSync(file, 'utf8')
      const shown = path.relative(projectDir, file)
      faults.push(...sizeFaults(shown, text))
      // A test's own worker threads and fixtures are named like it: x.test.worker.ts, x.test.fixture.ts.
      const isTest = /\.test(\.\w+)?\.ts$/.test(file)
      for (const { specifier, line } of importsOf(text)) {
        const at = `${shown}:${line}`
        const place = { name, sourceDir, file, isTest, dependencies, developed }
        const fault =
          packageFault(specifier, place) ?? (isTest ? undefined : directionFault(specifier, place))
        if (fault !== undefined) faults.push(`${at}: ${fault}`)
        if (!isTest) {
          addEdge(edges, specifier, place, at)
          addFileEdge(files, specifier, place)
        }
      }
    }
    faults.push(...cycleFaults(edges, `packages/${name}/src`))
    for (const circle of fileCircles(files))
      faults.push(`packages/${name}/src: files import each other: ${circle.join(' -> ')}`)
  }
  return { faults, numFiles }
}

/** Static, type-only, re-exporting and dynamic imports, as TypeScript's own scanner sees them. */
function importsOf(text) {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName, pos }) => ({
    specifier: fileName,
    line: text.slice(0, pos).split('\n').length,
  }))
}

/** Rules that also hold for tests: what may be imported from outside the package, and how. */
function packageFault(specifier, { name, sourceDir, file, isTest, dependencies, developed }) {
  if (specifier.startsWith('.')) {
    const target = path.resolve(path.dirname(file), specifier)
    if (isInside(target, sourceDir)) return undefined
    if (isTest && isInside(target, path.resolve(sourceDir, '../../torch/testing-device'))) return undefined
    return `imports ${specifier}, outside its package: another package is imported by its name`
  }
  const wanted = packageOf(specifier)
  if (wanted === packageNames[name]) return 'imports its own package by name: use a relative path'
  if (wanted === packageNames.adapt) return `${packageNames.torch} must not know ${packageNames.adapt}`
  if (wanted === packageNames.torch) {
    if (specifier !== wanted) return `imports ${specifier}: only ${wanted} itself is public`
  }
  if (specifier.startsWith('node:')) return undefined
  if (builtinModules.includes(specifier)) return `write node:${specifier}`
  if (dependencies.has(wanted) || (isTest && developed.has(wanted))) return undefined
  return `${wanted} is not among the dependencies of packages/${name}`
}

/** packages/adapt: only towards earlier folders. */
function directionFault(specifier, { name, sourceDir, file }) {
  const from = folderOf(file, sourceDir)
  if (name !== 'adapt' || isRootIndex(file, sourceDir)) return undefined
  if (from !== '.' && !adaptFolders.includes(from))
    return `folder ${from} has no place in scripts/imports/rules.mjs`
  if (!specifier.startsWith('.')) return undefined
  const target = path.resolve(path.dirname(file), specifier)
  const to = folderOf(target, sourceDir)
  if (to === from) return undefined
  if (to === '.')
    return path.basename(target, '.js') === 'index'
      ? 'imports the package root: import the folder'
      : undefined
  if (!adaptFolders.includes(to)) return `folder ${to} has no place in scripts/imports/rules.mjs`
  if (hiddenFolders[from]?.includes(to))
    return `${from} must not import ${to}: hiddenFolders in scripts/imports/rules.mjs says why`
  if (adaptFolders.indexOf(to) < adaptFolders.indexOf(from)) return undefined
  return `${from} must not import ${to}: imports go to earlier folders only`
}

function addEdge(edges, specifier, { sourceDir, file }, at) {
  if (!specifier.startsWith('.') || isRootIndex(file, sourceDir)) return
  const from = folderOf(file, sourceDir)
  const to = folderOf(path.resolve(path.dirname(file), specifier), sourceDir)
  if (from === to || to === '..') return
  if (!edges.has(from)) edges.set(from, new Map())
  if (!edges.get(from).has(to)) edges.get(from).set(to, at)
}

/** Adds an arrow between two files, named from src; the root index, which gathers all, has none. */
function addFileEdge(files, specifier, { sourceDir, file }) {
  if (!specifier.startsWith('.') || isRootIndex(file, sourceDir)) return
  const name = (place) => path.relative(sourceDir, place).split(path.sep).join('/')
  const from = name(file)
  if (!files.has(from)) files.set(from, new Set())
  files.get(from).add(name(path.resolve(path.dirname(file), specifier.replace(/\.js$/, '.ts'))))
}

/** One fault for each way of folders that comes back to where it began. */
function cycleFaults(edges, where) {
  const faults = []
  const done = new Set()
  const visit = (folder, trail) => {
    if (trail.includes(folder)) {
      const cycle = [...trail.slice(trail.indexOf(folder)), folder]
      const places = cycle.slice(1).map((to, i) => edges.get(cycle[i]).get(to))
      faults.push(`${where}: folders import each other: ${cycle.join(' -> ')} (${places.join(', ')})`)
      return
    }
    if (done.has(folder)) return
    for (const to of edges.get(folder)?.keys() ?? []) visit(to, [...trail, folder])
    done.add(folder)
  }
  for (const folder of edges.keys()) visit(folder, [])
  return faults
}

/** First folder below src, '.' for files in src itself. */
function folderOf(file, sourceDir) {
  const parts = path.relative(sourceDir, file).split(path.sep)
  return parts.length === 1 ? '.' : parts[0]
}

function isRootIndex(file, sourceDir) {
  return file === path.join(sourceDir, 'index.ts')
}

function isInside(target, folder) {
  const relative = path.relative(folder, target)
  return !relative.startsWith('..') && !path.isAbsolute(relative)
}

function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}
