import { rmSync } from 'node:fs'
import path from 'node:path'
import { hasApt, installCommand, installWithApt, missingPackages } from './apt.mjs'
import { findCompiler } from './compiler.mjs'
import { findLibTorch } from './find-libtorch.mjs'
import { SetupError } from './setup-error.mjs'
import { readStamp, writeWhole } from './stamp.mjs'

export const searchOrder =
  '--libtorch, LIBTORCH, LIBTORCH_USE_PYTORCH, an active Python environment, ./libtorch, system packages, Homebrew, python3'

/** Reads, keeps or forgets the folder of --libtorch, so that `npm test` after it uses the same one. */
export function rememberChoice(option, buildDir) {
  const file = path.join(buildDir, 'chosen-libtorch')
  if (option === 'auto') rmSync(file, { force: true })
  const explicit = option === 'auto' ? undefined : option
  return { explicit, remembered: readStamp(file), keep: (root) => writeWhole(file, `${root}\n`) }
}

/**
 * Finds a LibTorch and a C++ compiler, and as root on Debian and Ubuntu installs what is missing with one apt call.
 *
 * @returns {Promise<{ libtorch: object, compiler: { command: string[], version: string } }>}
 * @throws {SetupError} exit code 5 with everything that was looked at and the commands that mend it
 */
export async function requireLibTorch(host, choice, progress, isRoot = process.getuid?.() === 0) {
  let search = findLibTorch(host, choice)
  if (search.refused !== undefined) throw new SetupError(`LibTorch: ${search.refused}`)
  let compiler = await findCompiler(host.env)

  const missing = missingPackages(host, { chosen: search.chosen, hasCompiler: compiler !== undefined })
  const mustInstall = search.chosen === undefined || compiler === undefined
  if (missing.length > 0 && hasApt(host)) {
    if (isRoot) {
      progress.line(
        `Installing the system packages that are missing: ${missing.join(' ')} (running as root, with apt)`,
      )
      try {
        await progress.timed('download', 'apt', () => installWithApt(missing, host, progress))
      } catch (error) {
        if (mustInstall) throw error
        progress.warn(
          `${error.message}\nGoing on without: the number of threads will not bind the BLAS library.`,
        )
      }
      search = findLibTorch(host, choice)
      compiler = await findCompiler(host.env)
    } else if (!mustInstall) {
      progress.warn(
        `libopenblas0-openmp is not installed: without it the number of threads does not bind the BLAS library. ${byHand(missing)}`,
      )
    }
  }
  if (search.chosen === undefined) throw new SetupError(notFoundText(host, search.considered, missing))
  if (compiler === undefined) {
    const how = hasApt(host) ? byHand(missing) : 'Install one, or name it in CXX.'
    throw new SetupError(
      `No C++ compiler was found: looked for ${host.env.CXX ?? 'g++, c++, clang++'}. ${how}`,
    )
  }
  return { libtorch: search.chosen, compiler }
}

function byHand(packages) {
  return `Run: sudo ${installCommand(packages).join(' ')}`
}

/** The message for a machine without LibTorch. */
export function notFoundText(host, considered, missing) {
  const looked = considered.map(({ where, outcome }) => `  ${where}: ${outcome}`).join('\n')
  const systemWay = hasApt(host)
    ? `sudo ${installCommand(missing).join(' ')}`
    : host.platform === 'darwin'
      ? 'brew install pytorch'
      : "install LibTorch 1.13 or >= 2.1 with headers from your system's packages"
  return `LibTorch was not found. Looked in:
${looked}
Do one of:
  ${systemWay}
  pip install torch     (2.7 or later), then set LIBTORCH_USE_PYTORCH=1
  unpack the LibTorch zip of https://pytorch.org/get-started/locally/ and set LIBTORCH=/path/to/libtorch
Then run again: ${host.command}`
}

/** One line that says what was chosen and why. */
export function choiceLine({ version, kind, label, libDir, cuda }) {
  const why =
    {
      '--libtorch': 'named by --libtorch',
      LIBTORCH: 'named by LIBTORCH',
      LIBTORCH_USE_PYTORCH: 'named by LIBTORCH_USE_PYTORCH=1',
      remembered: 'named by an earlier --libtorch; "--libtorch auto" forgets it',
    }[kind] ?? `the first found of: ${searchOrder}`
  return `LibTorch ${version}${cuda ? ' with CUDA' : ''} (${label}, ${libDir}): ${why}`
}
