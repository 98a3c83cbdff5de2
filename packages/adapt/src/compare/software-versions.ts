import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInfo } from '@adapt-ts/torch'

/** Versions of what computed a cell, and the commit when the program runs from a checkout of its repository. */
export function softwareVersions(): Readonly<Record<string, string>> {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const commit = describeCommit()
  return {
    adapt: (JSON.parse(text) as { readonly version: string }).version,
    node: process.version,
    libtorch: buildInfo().libtorchVersion,
    ...(commit === undefined ? {} : { commit }),
  }
}

/** Short hash, with `-dirty` when files were changed after it; undefined outside a checkout. */
function describeCommit(): string | undefined {
  const here = dirname(fileURLToPath(import.meta.url))
  if (here.includes('node_modules')) return undefined
  try {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
    const args = ['describe', '--always', '--dirty', '--exclude=*', '--abbrev=12']
    return (
      execFileSync('git', args, { cwd: here, stdio, encoding: 'utf8', timeout: 10_000 }).trim() || undefined
    )
  } catch {
    return undefined
  }
}
