import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { buildDirOf, libraryIdentity } from './build-addon.mjs'
import { compileFlags, linkFlags } from './compiler.mjs'
import { runCommand } from './run-command.mjs'
import { contentHash, hashOf, writeWhole } from './stamp.mjs'

const needed = { torch: 'torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp', nccl: 'nccl.h' }

/**
 * Builds the library by which ranks exchange CUDA memory through NCCL, for the add-on that is the current one, and enters it in
 * `current.json`: `nccl.library`, relative to the folder of builds, or in `nccl.missing` why there is none. Without it ranks
 * exchange CUDA memory over the host: what stands in the way is a line, not an error.
 *
 * @param {object} input as of buildAddon
 * @returns {Promise<{ library: string } | { missing: string } | undefined>} undefined for a LibTorch without CUDA
 */
export async function buildNccl({ torchDir, libtorch, compiler, host, progress }) {
  if (!libtorch.cuda) return undefined
  const buildDir = buildDirOf(torchDir, host.env)
  const currentFile = path.join(buildDir, 'current.json')
  const current = JSON.parse(readFileSync(currentFile, 'utf8'))
  const addon = path.join(buildDir, current.addon)
  const nccl = await build({ torchDir, libtorch, compiler, host, progress, buildDir, addon })
  if (nccl.missing)
    progress.line(`NCCL: not built: ${nccl.missing}; ranks exchange CUDA memory over the host`)
  writeWhole(currentFile, `${JSON.stringify({ ...current, nccl }, null, 2)}\n`)
  return nccl
}

async function build({ torchDir, libtorch, compiler, host, progress, buildDir, addon }) {
  const includeDirs = cudaIncludeDirs(libtorch, host)
  const ncclHeader = [...includeDirs, path.join(host.prefix, '/usr/include')]
    .map((dir) => path.join(dir, needed.nccl))
    .find((file) => existsSync(file))
  if (ncclHeader === undefined) return { missing: `${needed.nccl} is not found` }
  if (!libtorch.includeDirs.some((dir) => existsSync(path.join(dir, needed.torch))))
    return { missing: `LibTorch has no ${path.basename(needed.torch)}` }

  const nativeDir = path.join(torchDir, 'native')
  const source = path.join(torchDir, 'native-nccl/nccl_group.cpp')
  const sources = [source, ...['device_group.h', 'torch_version.h'].map((name) => path.join(nativeDir, name))]
  const flagsFor = (folder) => [
    ...compileFlags({ libtorch, nativeDir: folder, nodeIncludeDir: folder, env: host.env }),
    ...includeDirs.flatMap((dir) => ['-isystem', dir]),
  ]
  const link = [
    ...linkFlags({ libtorch, platform: host.platform, openblas: undefined, env: host.env }),
    '-ltorch_cuda',
  ]
  const hash = hashOf({
    sources: [...sources, ncclHeader].map(contentHash),
    flags: flagsFor('native'),
    link,
    compiler,
    libtorch: libraryIdentity(libtorch, host.platform),
  }).slice(0, 16)
  const library = path.join('nccl', `${hash}.so`)
  const file = path.join(buildDir, library)
  if (existsSync(file)) return { library }

  mkdirSync(path.dirname(file), { recursive: true })
  const temporary = `${file}.${process.pid}.tmp`
  const args = [
    ...compiler.command.slice(1),
    ...flagsFor(nativeDir),
    '-shared',
    source,
    ...link,
    '-o',
    temporary,
  ]
  return await progress.timed('build', 'NCCL', async () => {
    progress.line('Building the groups of NCCL (not tested on a GPU)')
    const compiled = await runCommand(compiler.command[0], args)
    if (compiled.code !== 0) return { missing: whyNot(compiled.output) }
    const load = `require(process.argv[1]).deviceGroupsLoad(process.argv[2])`
    const loaded = await runCommand(process.execPath, ['-e', load, addon, temporary])
    if (loaded.code !== 0) {
      rmSync(temporary, { force: true })
      return { missing: /Error: (.*)/.exec(loaded.output)?.[1] ?? 'it does not load' }
    }
    renameSync(temporary, file)
    return { library }
  })
}

/** Where CUDA's headers may lie: pip's packages beside torch, what the environment names, conda's environment, the usual place. */
function cudaIncludeDirs({ libDir }, { env, prefix }) {
  const wheels = path.resolve(libDir, '../../nvidia')
  const packages = existsSync(wheels) ? readdirSync(wheels).sort() : []
  const roots = [
    ...packages.map((name) => path.join(wheels, name)),
    ...[env.NCCL_HOME, env.CUDA_HOME, env.CUDA_PATH, env.CONDA_PREFIX].filter(Boolean),
    ...(env.CONDA_PREFIX ? [path.join(env.CONDA_PREFIX, 'targets/x86_64-linux')] : []),
    path.join(prefix, '/usr/local/cuda'),
  ]
  return [...new Set(roots.map((root) => path.join(root, 'include')))].filter((dir) => existsSync(dir))
}

/** The compiler's first complaint. */
function whyNot(output) {
  const absent = /fatal error: (\S+): No such file/.exec(output)?.[1]
  if (absent !== undefined) return `${absent} of CUDA is not found`
  return `the compiler says: ${/error: (.*)/.exec(output)?.[1] ?? output.trim().split('\n')[0]}`
}
