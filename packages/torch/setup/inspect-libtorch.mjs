import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const versionHeaders = ['torch/csrc/api/include/torch/version.h', 'torch/headeronly/version.h']

/**
 * Looks whether LibTorch is at one place, and whether it is one that the add-on can be built against.
 *
 * @param {object} place
 * @param {string[]} place.includeRoots folders that may hold `torch/csrc/api/include/torch/version.h`
 * @param {string[]} place.libDirs folders that may hold libtorch_cpu and libc10
 * @param {{ platform: string, env: Record<string, string | undefined>, prefix?: string }} host
 * @returns {{ ok: true, libtorch: { version: string, includeDirs: string[], libDir: string, cuda: boolean } } | { ok: false, reason: string }}
 */
export function inspectLibTorch({ includeRoots, libDirs }, host) {
  const includeRoot = includeRoots.find((root) => existsSync(path.join(root, versionHeaders[0])))
  if (includeRoot === undefined) {
    return { ok: false, reason: `no ${versionHeaders[0]} in ${includeRoots.join(' or ')}` }
  }
  const suffix = host.platform === 'darwin' ? 'dylib' : 'so'
  const needed = [`libtorch_cpu.${suffix}`, `libc10.${suffix}`]
  const libDir = libDirs.find((dir) => needed.every((name) => existsSync(path.join(dir, name))))
  if (libDir === undefined) {
    return { ok: false, reason: `headers found, but no ${needed.join(' and ')} in ${libDirs.join(' or ')}` }
  }
  const version = readVersion(includeRoot)
  if (version === undefined) return { ok: false, reason: `cannot read the version in ${includeRoot}/torch` }
  if (!isSupportedVersion(version) && host.env.LIBTORCH_BYPASS_VERSION_CHECK !== '1') {
    return {
      ok: false,
      reason: `LibTorch ${version} in ${libDir} is refused: supported are 1.13 and 2.1 or later (LIBTORCH_BYPASS_VERSION_CHECK=1 tries it anyway)`,
    }
  }
  if (host.platform === 'linux' && stringAbi(path.join(libDir, 'libc10.so')) === 'pre-cxx11') {
    return {
      ok: false,
      reason: `LibTorch ${version} in ${libDir} is refused: it was built with the C++ ABI from before C++11, which this system's compiler does not use by default; take PyTorch 2.7 or later from pip, or the "cxx11 ABI" zip of this version`,
    }
  }
  return {
    ok: true,
    libtorch: {
      version,
      includeDirs: includeDirsOf(includeRoot, host.prefix ?? ''),
      libDir,
      cuda: existsSync(path.join(libDir, `libtorch_cuda.${suffix}`)),
    },
  }
}

/** The version in LibTorch's own macros; 2.9 and later keep them in the second header. */
export function readVersion(includeRoot) {
  for (const header of versionHeaders) {
    const file = path.join(includeRoot, header)
    if (!existsSync(file)) continue
    const text = readFileSync(file, 'utf8')
    const numbers = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part) => text.match(new RegExp(`#define TORCH_VERSION_${part} (\\d+)`))?.[1],
    )
    if (numbers.every((number) => number !== undefined)) return numbers.join('.')
  }
  return undefined
}

export function isSupportedVersion(version) {
  const [major, minor] = version.split('.').map(Number)
  return (major === 1 && minor === 13) || (major === 2 && minor >= 1) || major > 2
}

/**
 * How std::string is spelled in c10's exported constructor of c10::Error. Mixing the two spellings
 * fails only when the add-on is loaded, with an unreadable missing symbol; so it is read beforehand.
 */
export function stringAbi(libc10) {
  const content = readFileSync(libc10)
  if (content.includes('_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx11')) return 'cxx11'
  if (content.includes('_ZN3c105ErrorC1ENS_14SourceLocationESs')) return 'pre-cxx11'
  return content.includes('__cxx11') ? 'cxx11' : 'unknown'
}

/** /usr/include itself is left out: named with -isystem it breaks libstdc++'s #include_next. */
function includeDirsOf(includeRoot, prefix) {
  const dirs = [includeRoot, path.join(includeRoot, 'torch/csrc/api/include')]
  return dirs.filter((dir) => dir !== path.join(prefix, '/usr/include'))
}

/** `torch` package folders inside a Python installation, without starting Python. */
export function torchPackagesIn(pythonPrefix) {
  const found = []
  for (const lib of ['lib', 'lib64']) {
    const folder = path.join(pythonPrefix, lib)
    if (!existsSync(folder)) continue
    for (const name of readdirSync(folder).sort()) {
      const torch = path.join(folder, name, 'site-packages/torch')
      if (/^python3(\.\d+)?t?$/.test(name) && existsSync(path.join(torch, 'version.py'))) found.push(torch)
    }
  }
  return found
}
