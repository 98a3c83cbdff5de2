import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { findProgram, lastLines, runCommand } from './run-command.mjs'
import { SetupError } from './setup-error.mjs'

const staleAfterMs = 7 * 24 * 3600 * 1000

/** Whether system packages come from apt here. */
export function hasApt(host) {
  const isDebianLike = existsSync(path.join(host.prefix, '/etc/debian_version'))
  return host.platform === 'linux' && isDebianLike && findProgram('apt-get', host.env) !== undefined
}

/** The folder in which Debian keeps the OpenBLAS flavour that obeys a thread count; it need not be the system's BLAS. */
export function openblasDir(host) {
  return path.join(host.prefix, '/usr/lib', host.multiarch, 'openblas-openmp')
}

/** Whether a LibTorch is Debian's own, which takes its BLAS from the system. Its Python package only links to it. */
export function usesSystemBlas(libtorch, host) {
  const systemDir = path.join(host.prefix, '/usr/lib', host.multiarch)
  const library = path.join(libtorch.libDir, 'libtorch_cpu.so')
  if (!existsSync(path.join(host.prefix, '/etc/debian_version')) || !existsSync(library)) return false
  return path.dirname(realpathSync(library)) === realpathSync(systemDir)
}

/**
 * The Debian packages this machine still needs. With a LibTorch of another origin only the compiler counts:
 * such a LibTorch brings its own BLAS.
 * @returns {string[]}
 */
export function missingPackages(host, { chosen, hasCompiler }) {
  const wantsDebian = chosen === undefined || usesSystemBlas(chosen, host)
  return [
    ...(hasCompiler ? [] : ['g++']),
    ...(chosen === undefined ? ['libtorch-dev'] : []),
    ...(wantsDebian && !existsSync(openblasDir(host)) ? ['libopenblas0-openmp'] : []),
  ]
}

export function installCommand(packages) {
  return ['apt-get', 'install', '-y', '--no-install-recommends', ...packages]
}

/**
 * Installs system packages, as root. The package lists are refreshed first when they are empty or a week old, and
 * after a failure when they were not.
 * @throws {SetupError} with the end of apt's output
 */
export async function installWithApt(packages, host, progress) {
  const listsDir = path.join(host.prefix, '/var/lib/apt/lists')
  const env = { ...host.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = async (args) => {
    progress.line(`  ${args.join(' ')}`)
    return await runCommand(args[0], args.slice(1), { env })
  }
  const refreshFirst = listsAreStale(listsDir)
  if (refreshFirst) await apt(['apt-get', 'update'])
  let result = await apt(installCommand(packages))
  if (result.code !== 0 && !refreshFirst) {
    await apt(['apt-get', 'update'])
    result = await apt(installCommand(packages))
  }
  if (result.code !== 0) {
    throw new SetupError(`${installCommand(packages).join(' ')} failed:\n${lastLines(result.output)}`)
  }
}

/** Whether apt's lists hold no packages or were refreshed more than a week ago. */
export function listsAreStale(listsDir, nowMs = Date.now()) {
  if (!existsSync(listsDir)) return true
  if (!readdirSync(listsDir).some((name) => /_Packages(\.\w+)?$/.test(name))) return true
  // The files carry the archive's dates; the folders tell when apt last wrote into them.
  const partial = path.join(listsDir, 'partial')
  const touched = [listsDir, partial].filter((dir) => existsSync(dir)).map((dir) => statSync(dir).mtimeMs)
  return nowMs - Math.max(...touched) > staleAfterMs
}
