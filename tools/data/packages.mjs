// Fetches the pinned packages with the system's own clients into a temporary folder and unpacks them there.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from './deterministic.mjs'
import { DEBIAN_PACKAGES, NPM_PACKAGES } from './sources.mjs'

function requireSum(file, expected, label) {
  const actual = sha256(readFileSync(file))
  if (actual !== expected) {
    throw new Error(
      `${label}: expected SHA-256 ${expected}, received ${actual}; update tools/data/sources.mjs`,
    )
  }
}

function fetchDebian(wanted, folder) {
  try {
    execFileSync('apt-get', ['download', `${wanted.name}=${wanted.version}`], { cwd: folder, stdio: 'pipe' })
  } catch (cause) {
    throw new Error(
      `${wanted.name} ${wanted.version}: apt-get download failed. Run "apt-get update" first; a version that the ` +
        'mirror no longer carries needs the Debian archive, or a new pin in tools/data/sources.mjs.',
      { cause },
    )
  }
  const deb = readdirSync(folder).find((name) => name.startsWith(`${wanted.name}_`) && name.endsWith('.deb'))
  // The sources inside are the same on every architecture, but the packages around them are not.
  if (/_(all|amd64)\.deb$/.test(deb)) requireSum(join(folder, deb), wanted.sha256, deb)
  return deb
}

/**
 * Fetches and unpacks every package.
 * @param folder  A working folder; packages already unpacked there are not fetched again.
 * @returns Map from package name to the folder that holds its files.
 */
export function fetchPackages(folder) {
  const roots = new Map()
  for (const wanted of DEBIAN_PACKAGES) {
    const root = join(folder, wanted.name)
    roots.set(wanted.name, root)
    if (existsSync(root)) continue
    const deb = fetchDebian(wanted, folder)
    mkdirSync(root)
    execFileSync('dpkg', ['-x', join(folder, deb), root])
  }
  for (const wanted of NPM_PACKAGES) {
    const root = join(folder, wanted.name)
    roots.set(wanted.name, join(root, 'package'))
    if (existsSync(root)) continue
    const file = execFileSync('npm', ['pack', '--silent', `${wanted.name}@${wanted.version}`], {
      cwd: folder,
    })
      .toString()
      .trim()
    requireSum(join(folder, file), wanted.sha256, file)
    mkdirSync(root)
    execFileSync('tar', ['-xzf', join(folder, file), '-C', root])
  }
  return roots
}
