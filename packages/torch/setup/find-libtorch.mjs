import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { inspectLibTorch, torchPackagesIn } from './inspect-libtorch.mjs'

const multiarchNames = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  ppc64: 'powerpc64le-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  s390x: 's390x-linux-gnu',
}

/**
 * What the search may look at, and the command that messages ask to run again. Tests give another `prefix`,
 * environment and Python.
 * @typedef {{ env: Record<string, string | undefined>, platform: string, arch: string, multiarch: string, prefix: string, projectDir: string, command: string,
 *   askPython: (env: Record<string, string | undefined>) => string | undefined }} Host
 * @returns {Host}
 */
export function thisHost(projectDir, command) {
  return {
    env: process.env,
    platform: process.platform,
    arch: process.arch,
    multiarch: multiarchNames[process.arch] ?? `${process.arch}-linux-gnu`,
    prefix: '',
    projectDir,
    command,
    askPython,
  }
}

/**
 * Finds LibTorch. The order is: --libtorch, LIBTORCH, LIBTORCH_USE_PYTORCH=1, an earlier --libtorch, an active
 * virtualenv or conda environment, ./libtorch, the system's packages, Homebrew, python3's torch. What the user named
 * outright (the first four) must be right: if it is not, the search stops there instead of building against
 * something else.
 *
 * @param {Host} host
 * @param {{ explicit?: string, remembered?: string }} [choice] folders of this and of an earlier --libtorch
 * @returns {{ chosen: object | undefined, considered: { kind: string, where: string, outcome: string }[], refused: string | undefined }}
 */
export function findLibTorch(host, choice = {}) {
  const considered = []
  for (const candidate of candidates(host, choice)) {
    const { kind, where } = candidate
    if (candidate.absent !== undefined) {
      considered.push({ kind, where, outcome: candidate.absent })
      if (candidate.named)
        return { chosen: undefined, considered, refused: refusal(candidate, candidate.absent) }
      continue
    }
    const result = inspectLibTorch(candidate, host)
    considered.push({ kind, where, outcome: result.ok ? 'chosen' : result.reason })
    if (result.ok) {
      const { version, includeDirs, libDir, cuda } = result.libtorch
      const chosen = {
        version,
        root: candidate.root,
        kind,
        includeDirs,
        libDir,
        cuda,
        label: candidate.label,
      }
      return { chosen, considered, refused: undefined }
    }
    if (candidate.named) return { chosen: undefined, considered, refused: refusal(candidate, result.reason) }
  }
  return { chosen: undefined, considered, refused: undefined }
}

function* candidates(host, { explicit, remembered }) {
  const { env, projectDir } = host
  yield explicit === undefined
    ? absent('--libtorch', '--libtorch', 'not given')
    : rooted(host, '--libtorch', '--libtorch', path.resolve(explicit), { named: true })

  const { LIBTORCH: root, LIBTORCH_INCLUDE: include, LIBTORCH_LIB: lib } = env
  if (root || (include && lib)) {
    const paths = { include: include || root, lib: lib || root }
    yield {
      ...rooted(host, 'LIBTORCH', 'LIBTORCH', path.resolve(root || lib), { named: true }),
      includeRoots: includeRootsOf(path.resolve(paths.include)),
      libDirs: libDirsOf(host, path.resolve(paths.lib)),
    }
  } else yield absent('LIBTORCH', 'LIBTORCH', 'not set')

  const environments = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter(Boolean)
  const activePackages = environments.flatMap(torchPackagesIn)
  if (env.LIBTORCH_USE_PYTORCH === '1') {
    const torch = activePackages[0] ?? host.askPython(env)
    yield torch === undefined
      ? {
          ...absent('LIBTORCH_USE_PYTORCH', 'LIBTORCH_USE_PYTORCH', 'python3 has no torch package'),
          named: true,
        }
      : rooted(host, 'LIBTORCH_USE_PYTORCH', 'LIBTORCH_USE_PYTORCH', torch, { named: true })
  } else yield absent('LIBTORCH_USE_PYTORCH', 'LIBTORCH_USE_PYTORCH', 'not 1')

  if (remembered !== undefined) {
    yield rooted(host, 'remembered', '--libtorch of an earlier run', remembered, { named: true })
  }

  for (const torch of activePackages) yield rooted(host, 'environment', 'active Python environment', torch)
  if (activePackages.length === 0) {
    const why = environments.length === 0 ? 'none is active' : `no torch in ${environments.join(', ')}`
    yield absent('environment', 'active Python environment', why)
  }
  // conda-forge's libtorch, without Python's torch, sits in the environment itself.
  if (env.CONDA_PREFIX) yield rooted(host, 'environment', 'active conda environment', env.CONDA_PREFIX)

  yield rooted(host, 'project', './libtorch', path.join(projectDir, 'libtorch'))
  yield* systemCandidates(host)

  const brewFormulas = [env.HOMEBREW_PREFIX, '/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew']
    .filter(Boolean)
    .map((folder) => path.join(host.prefix, folder, 'opt/pytorch'))
    .filter((folder) => existsSync(folder))
  for (const formula of brewFormulas) {
    const roots = [...torchPackagesIn(path.join(formula, 'libexec')), ...torchPackagesIn(formula), formula]
    for (const root of roots) yield rooted(host, 'homebrew', 'Homebrew pytorch', root)
  }
  if (brewFormulas.length === 0) yield absent('homebrew', 'Homebrew pytorch', 'not installed')

  const torch = host.askPython(env)
  yield torch === undefined
    ? absent('python', 'python3', 'has no torch')
    : rooted(host, 'python', "python3's torch", torch)
}

function* systemCandidates(host) {
  const at = (...parts) => path.join(host.prefix, ...parts)
  const isDebian = existsSync(at('/etc/debian_version'))
  yield {
    kind: isDebian ? 'debian' : 'system',
    where: isDebian ? 'Debian libtorch-dev' : '/usr',
    label: isDebian ? `Debian libtorch-dev ${debianVersion(host, 'libtorch-dev') ?? ''}`.trim() : '/usr',
    root: at('/usr'),
    includeRoots: [at('/usr/include')],
    libDirs: [at('/usr/lib', host.multiarch), at('/usr/lib64'), at('/usr/lib')],
  }
  yield rooted(host, 'system', '/usr/local', at('/usr/local'))
}

function refusal({ kind, where }, reason) {
  return `${where}: ${reason}${kind === 'remembered' ? ' ("--libtorch auto" forgets it)' : ''}`
}

function absent(kind, where, outcome) {
  return { kind, where, absent: outcome }
}

/** A folder laid out like the official zip, like Python's torch package, or like a /usr prefix. */
function rooted(host, kind, label, root, { named = false } = {}) {
  const where = label === root ? root : `${label} (${root})`
  return {
    kind,
    where,
    label,
    root,
    named,
    includeRoots: includeRootsOf(root),
    libDirs: libDirsOf(host, root),
  }
}

/** LIBTORCH_INCLUDE may name the folder that holds include/, as for other tools, or include/ itself. */
function includeRootsOf(root) {
  return [path.join(root, 'include'), root]
}

function libDirsOf(host, root) {
  return [path.join(root, 'lib'), path.join(root, 'lib', host.multiarch), path.join(root, 'lib64'), root]
}

/** Version of an installed Debian package; undefined when it is not installed. */
export function debianVersion(host, packageName) {
  const file = path.join(host.prefix, '/var/lib/dpkg/status')
  if (!existsSync(file)) return undefined
  const entries = readFileSync(file, 'utf8').split('\n\n')
  const entry = entries.find((text) => text.trimStart().startsWith(`Package: ${packageName}\n`))
  return /^Status: .* installed$/m.test(entry ?? '') ? entry.match(/^Version: (.*)$/m)?.[1] : undefined
}

/** Where python3 would import torch from. It is not imported: that takes seconds. */
function askPython(env) {
  const code =
    'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")'
  try {
    const options = { encoding: 'utf8', env, timeout: 20_000, stdio: ['ignore', 'pipe', 'ignore'] }
    return execFileSync('python3', ['-c', code], options).trim() || undefined
  } catch {
    return undefined
  }
}
