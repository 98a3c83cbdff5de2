import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { benchFolder, currentBuild } from './peer-process.js'

/** Builds a library that gives eager PyTorch our allocator; undefined when it cannot be built here. */
export function buildPeerAllocator(folder: string): string | undefined {
  const torch = join(benchFolder, '..', 'packages', 'torch')
  const { libtorch } = currentBuild()
  const nodeHeaders = createRequire(import.meta.url)('node-api-headers').include_dir as string
  const output = join(folder, 'peer_allocator.so')
  const includes = [nodeHeaders, ...libtorch.includeDirs].flatMap((path) => ['-isystem', path])
  const sources = [
    join(benchFolder, 'python', 'preload_allocator.cpp'),
    join(torch, 'native', 'allocator.cpp'),
  ]
  const standard = libtorch.version.startsWith('1.') ? 'c++17' : 'c++20'
  try {
    execFileSync(
      process.env.CXX ?? 'g++',
      [
        `-std=${standard}`,
        '-O2',
        '-fPIC',
        '-shared',
        `-I${join(torch, 'native')}`,
        ...includes,
        ...sources,
        '-o',
        output,
        `-L${libtorch.libDir}`,
        '-lc10',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    return output
  } catch (error) {
    console.log(`no column with the caching allocator: ${String(error).split('\n', 1)[0]}`)
    return undefined
  }
}
