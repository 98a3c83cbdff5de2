// Builds the testing device against the LibTorch that the add-on was built for.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { buildDirOf, libraryIdentity } from '../setup/build-addon.mjs'
import { compileFlags, findCompiler, linkFlags } from '../setup/compiler.mjs'
import { lastLines, runCommand } from '../setup/run-command.mjs'
import { contentHash, hashOf, listFiles } from '../setup/stamp.mjs'

const sourceDir = path.dirname(fileURLToPath(import.meta.url))
const unit = path.join(sourceDir, 'testing-device.cpp')
/** The compiler takes about 20 s on a machine with nothing else to do. */
const patienceMs = 10 * 60_000

/**
 * The library's path, after building it where no build of these sources, flags, compiler and LibTorch exists.
 * Processes that ask at the same time wait for the first.
 *
 * @returns {Promise<string>}
 * @throws {Error} with the compiler's own words
 */
export async function buildTestingDevice(env = process.env) {
  const buildDir = buildDirOf(path.dirname(sourceDir), env)
  const { libtorch } = JSON.parse(readFileSync(path.join(buildDir, 'current.json'), 'utf8'))
  const compiler = await findCompiler(env)
  if (compiler === undefined) throw new Error('the testing device needs a C++ compiler: none was found')
  const flagsFor = (nativeDir) => [
    ...compileFlags({ libtorch, nativeDir, nodeIncludeDir: nativeDir, env }),
    '-O1',
  ]
  const link = linkFlags({ libtorch, platform: process.platform, openblas: undefined, env })
  const nativeDir = path.join(path.dirname(sourceDir), 'native')
  const sources = [
    ...listFiles(sourceDir, (file) => /\.(cpp|h)$/.test(file)),
    ...listFiles(nativeDir, (file) => /device_group\.h$|torch_version\.h$|gloo\//.test(file)),
  ]
  const hash = hashOf({
    sources: sources.map(contentHash),
    flags: flagsFor('.'),
    link,
    compiler,
    libtorch: libraryIdentity(libtorch, process.platform),
  }).slice(0, 16)
  const library = path.join(buildDir, 'testing-device', `${hash}.so`)
  if (existsSync(library)) return library
  mkdirSync(path.dirname(library), { recursive: true })
  await withLock(`${library}.lock`, async () => {
    if (existsSync(library)) return
    const temporary = `${library}.${process.pid}.tmp`
    const args = [
      ...compiler.command.slice(1),
      ...flagsFor(sourceDir),
      `-I${nativeDir}`,
      unit,
      ...link,
      '-o',
      temporary,
    ]
    const { code, output } = await runCommand(compiler.command[0], args)
    if (code !== 0) throw new Error(`building the testing device failed:\n${lastLines(output, 60)}`)
    renameSync(temporary, library)
  })
  return library
}

/** Runs `work` while this process alone holds the file `lock`. A lock whose process is gone is taken over. */
async function withLock(lock, work) {
  const beganMs = Date.now()
  while (!tryLock(lock)) {
    if (Date.now() - beganMs > patienceMs) throw new Error(`${lock}: held for ${patienceMs / 60_000} minutes`)
    await wait(200)
  }
  try {
    await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function tryLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  if (isAbandoned(lock)) rmSync(lock, { force: true })
  return false
}

function isAbandoned(lock) {
  try {
    // Just made, its process is not yet in it.
    if (Date.now() - statSync(lock).mtimeMs < 2000) return false
    process.kill(Number(readFileSync(lock, 'utf8')), 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}
