import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { openblasDir, usesSystemBlas } from './apt.mjs'
import { compileFlags, knownFlags, linkFlags, unitFlags } from './compiler.mjs'
import { formatSeconds } from './progress.mjs'
import { lastLines, runCommand } from './run-command.mjs'
import { SetupError } from './setup-error.mjs'
import { contentHash, fileIdentity, hashOf, listFiles, readStamp, writeWhole } from './stamp.mjs'

const pruneAfterMs = 14 * 24 * 3600 * 1000
/** LibTorch's headers take about this much of a compiler's memory. */
const bytesPerCompiler = 1.5 * 2 ** 30

/** Folder of the builds: inside the package, or where ADAPT_TORCH_BUILD_DIR says (a reinstallation empties the package). */
export function buildDirOf(torchDir, env) {
  return path.resolve(env.ADAPT_TORCH_BUILD_DIR || path.join(torchDir, 'build'))
}

/**
 * Builds the add-on for one LibTorch unless that very build exists, and makes it the current one.
 * Builds live side by side in build/<hash>; the hash covers sources, headers, flags, compiler and LibTorch, but not
 * where the package lies: a build may be moved with it.
 *
 * @param {object} input
 * @param {string} input.torchDir packages/torch
 * @param {object} input.libtorch what findLibTorch chose
 * @param {{ command: string[], version: string }} input.compiler
 * @param {string} input.nodeIncludeDir folder of node_api.h
 * @returns {Promise<{ built: boolean, current: object }>}
 * @throws {SetupError} exit code 1 with the compiler's own words; 5 when the folder cannot be written
 */
export async function buildAddon({ torchDir, libtorch, compiler, nodeIncludeDir, host, progress }) {
  const nativeDir = path.join(torchDir, 'native')
  const buildDir = buildDirOf(torchDir, host.env)
  requireWritable(buildDir)
  const units = listFiles(nativeDir, (file) => file.endsWith('.cpp'))
  if (units.length === 0)
    throw new SetupError(`${nativeDir} holds no .cpp file: this package is not whole`, 1)
  const headers = listFiles(nativeDir, (file) => /\.(h|hpp|inc)$/.test(file))

  const openblas =
    usesSystemBlas(libtorch, host) && existsSync(openblasDir(host)) ? openblasDir(host) : undefined
  const flagsFor = (dirs) => compileFlags({ libtorch, ...dirs, env: host.env })
  const flags = flagsFor({ nativeDir, nodeIncludeDir })
  const link = linkFlags({ libtorch, platform: host.platform, openblas, env: host.env })
  const environment = {
    headers: headers.map((file) => [path.relative(nativeDir, file), contentHash(file)]),
    nodeHeaders: listFiles(nodeIncludeDir, (file) => /node_api|native_api/.test(file)).map(contentHash),
    flags: flagsFor({ nativeDir: 'native', nodeIncludeDir: 'node-api' }),
    compiler,
    libtorch: libraryIdentity(libtorch, host.platform),
  }
  const objects = units.map((source) => {
    const own = unitFlags(source, host.arch)
    const unit = { unit: path.basename(source), own, content: contentHash(source) }
    const key = hashOf({ environment, ...unit }).slice(0, 20)
    return { source, own, object: path.join(buildDir, 'objects', `${key}.o`) }
  })
  const hash = hashOf({
    environment,
    link,
    objects: objects.map(({ object }) => path.basename(object)),
  }).slice(0, 16)

  const info = path.join(buildDir, hash, 'info.json')
  const built = !existsSync(info)
  if (built) {
    await progress.timed('build', 'add-on', async () => {
      await compileObjects(objects, { compiler, flags, command: host.command, progress })
      const addon = await linkAddon({ objects, link, compiler, buildDir, hash, progress })
      await checkLoads(addon, torchDir)
      const record = {
        schema: 1,
        hash,
        addon: path.relative(buildDir, addon),
        compiler: compiler.version,
        builtAt: new Date().toISOString(),
      }
      writeWhole(info, `${JSON.stringify(record, null, 2)}\n`)
      pruneOldBuilds(buildDir, hash)
    })
  }
  const { compiler: compiledBy, builtAt, ...build } = JSON.parse(readFileSync(info, 'utf8'))
  const { label: _, ...recorded } = libtorch
  const current = { ...build, libtorch: recorded, compiler: compiledBy, builtAt }
  const text = JSON.stringify(current, null, 2)
  const currentFile = path.join(buildDir, 'current.json')
  if (readStamp(currentFile) !== text) writeWhole(currentFile, `${text}\n`)
  return { built, current }
}

function requireWritable(buildDir) {
  try {
    mkdirSync(buildDir, { recursive: true })
    accessSync(buildDir, constants.W_OK)
  } catch (error) {
    throw new SetupError(
      `${buildDir} cannot be written (${error.code}): set ADAPT_TORCH_BUILD_DIR to another folder, now and when the add-on is used`,
    )
  }
}

/** What tells one LibTorch from another, and from itself after an upgrade in place. */
export function libraryIdentity(libtorch, platform) {
  const suffix = platform === 'darwin' ? 'dylib' : 'so'
  const libraries = ['torch_cpu', 'c10', ...(libtorch.cuda ? ['torch_cuda'] : [])]
  const files = libraries.map((name) => path.join(libtorch.libDir, `lib${name}.${suffix}`))
  return { version: libtorch.version, files: files.map(fileIdentity) }
}

async function compileObjects(objects, { compiler, flags, command, progress }) {
  const waiting = objects.filter(({ object }) => !existsSync(object))
  for (const { object } of objects) if (existsSync(object)) utimesSync(object, new Date(), new Date())
  if (waiting.length === 0) return
  mkdirSync(path.dirname(waiting[0].object), { recursive: true })
  const numJobs = Math.max(
    1,
    Math.min(os.availableParallelism(), Math.floor(os.totalmem() / bytesPerCompiler), waiting.length),
  )
  const reused = objects.length - waiting.length
  progress.line(
    `Building the add-on: ${waiting.length} C++ files${reused > 0 ? ` (${reused} unchanged)` : ''}, ${numJobs} at a time, ${compiler.version}`,
  )
  let numStarted = 0
  let numDone = 0
  const failures = []
  const work = async () => {
    while (numStarted < waiting.length && failures.length === 0) {
      const { source, own, object } = waiting[numStarted++]
      const beganMs = performance.now()
      const temporary = `${object}.${process.pid}.tmp`
      const known = await knownFlags(compiler, own)
      const args = [...compiler.command.slice(1), ...flags, ...known, '-c', source, '-o', temporary]
      const { code, output } = await runCommand(compiler.command[0], args)
      const seconds = (performance.now() - beganMs) / 1000
      if (code === 0) renameSync(temporary, object)
      else failures.push({ source, output })
      const state = code === 0 ? formatSeconds(seconds) : 'FAILED'
      progress.line(`  [${++numDone}/${waiting.length}] ${path.basename(source)} ${state}`)
    }
  }
  await Promise.all(Array.from({ length: numJobs }, work))
  if (failures.length > 0) {
    const text = failures.map(({ source, output }) => `${source}\n${lastLines(output, 60)}`).join('\n\n')
    const hint = /\[-Werror/.test(text)
      ? `\nOnly a warning of this compiler stands in the way: CXXFLAGS=-Wno-error ${command}`
      : ''
    throw new SetupError(`compiling the add-on failed:\n${text}${hint}`, 1)
  }
}

async function linkAddon({ objects, link, compiler, buildDir, hash, progress }) {
  const folder = path.join(buildDir, hash)
  mkdirSync(folder, { recursive: true })
  const addon = path.join(folder, 'adapt_torch.node')
  const temporary = `${addon}.${process.pid}.tmp`
  const args = [
    ...compiler.command.slice(1),
    ...objects.map(({ object }) => object),
    ...link,
    '-o',
    temporary,
  ]
  const { code, output } = await runCommand(compiler.command[0], args)
  if (code !== 0) throw new SetupError(`linking the add-on failed:\n${lastLines(output, 40)}`, 1)
  renameSync(temporary, addon)
  progress.line(`  linked ${path.relative(process.cwd(), addon)}`)
  return addon
}

/** Loads the add-on once in a process of its own: a missing symbol or library shows here, not in the user's first run. */
async function checkLoads(addon, cwd) {
  const { code, output } = await runCommand(
    process.execPath,
    ['-e', 'process.dlopen({ exports: {} }, process.argv[1])', addon],
    { cwd },
  )
  if (code !== 0) {
    rmSync(path.dirname(addon), { recursive: true, force: true })
    throw new SetupError(`the add-on was built but does not load:\n${lastLines(output, 25)}`, 5)
  }
}

function pruneOldBuilds(buildDir, hash) {
  const isOld = (file) => Date.now() - statSync(file).mtimeMs > pruneAfterMs
  for (const name of readdirSync(buildDir)) {
    const folder = path.join(buildDir, name)
    const info = path.join(folder, 'info.json')
    if (name !== hash && existsSync(info) && isOld(info)) rmSync(folder, { recursive: true, force: true })
  }
  for (const name of readdirSync(path.join(buildDir, 'objects'))) {
    const file = path.join(buildDir, 'objects', name)
    if (isOld(file)) rmSync(file, { force: true })
  }
}
