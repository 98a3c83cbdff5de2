import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from '../../packages/torch/setup/run-command.mjs'
import { SetupError } from '../../packages/torch/setup/setup-error.mjs'
import { contentHash, hashOf, listFiles, readStamp, writeWhole } from '../../packages/torch/setup/stamp.mjs'

/**
 * Compiles the TypeScript projects of the repository when a source, a tsconfig or a package changed.
 * `tsc -b` would find out by itself, but takes seconds for it; a list of sizes and times takes milliseconds.
 *
 * @returns {Promise<boolean>} whether the compiler ran
 * @throws {SetupError} exit code 1 with the compiler's messages
 */
export async function compileTypeScript(projectDir, progress) {
  const projects = findProjects(projectDir)
  const stamp = path.join(projectDir, 'node_modules/.adapt-typescript')
  const wanted = sourcesStamp(projectDir, projects)
  const missing = projects.filter(hasMissingOutput)
  if (missing.length === 0 && readStamp(stamp) === wanted) return false

  const names = projects
    .filter(({ isReferenced }) => !isReferenced)
    .map(({ dir }) => path.relative(projectDir, dir))
  progress.line(`Compiling TypeScript: tsc -b ${names.join(' ')}`)
  await progress.timed('build', 'TypeScript', async () => {
    for (const project of projects) removeStaleOutputs(project)
    const tsc = path.join(projectDir, 'node_modules/typescript/bin/tsc')
    // tsc trusts its own records; when outputs were deleted by hand it must be told to write them again.
    const force = missing.some(({ dir }) => existsSync(path.join(dir, 'tsconfig.tsbuildinfo')))
      ? ['--force']
      : []
    const { code, output } = await runCommand(process.execPath, [tsc, '-b', ...force, ...names], {
      cwd: projectDir,
    })
    if (code !== 0)
      throw new SetupError(`TypeScript: tsc -b ${names.join(' ')} failed:\n${output.trimEnd()}`, 1)
  })
  writeWhole(stamp, `${wanted}\n`)
  return true
}

/** packages/*, bench and test, as far as they have a tsconfig.json and something to compile. */
export function findProjects(projectDir) {
  const packages = readdirSync(path.join(projectDir, 'packages')).map((name) => path.join('packages', name))
  return [...packages, 'bench', 'test'].flatMap((name) => {
    const dir = path.join(projectDir, name)
    const config = path.join(dir, 'tsconfig.json')
    if (!existsSync(config)) return []
    const { rootDir = '.', outDir = 'dist' } = JSON.parse(readFileSync(config, 'utf8')).compilerOptions ?? {}
    const sourceDir = path.join(dir, rootDir)
    const sources = listFiles(sourceDir, (file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    if (sources.length === 0) return []
    // packages/adapt refers to packages/torch, which is compiled with it.
    return [
      {
        dir,
        config,
        sourceDir,
        outDir: path.join(dir, outDir),
        sources,
        isReferenced: name === 'packages/torch',
      },
    ]
  })
}

function sourcesStamp(projectDir, projects) {
  const configs = [path.join(projectDir, 'tsconfig.base.json'), ...projects.map(({ config }) => config)]
  const sources = projects.flatMap((project) => project.sources)
  return hashOf({
    packages: contentHash(path.join(projectDir, 'package-lock.json')),
    manifests: projects
      .map(({ dir }) => path.join(dir, 'package.json'))
      .filter((file) => existsSync(file))
      .map(contentHash),
    configs: configs.map(contentHash),
    sources: sources.map((file) => {
      const { size, mtimeMs } = statSync(file)
      return [path.relative(projectDir, file), size, mtimeMs]
    }),
  })
}

function outputOf(project, source) {
  return path.join(project.outDir, path.relative(project.sourceDir, source).replace(/\.ts$/, '.js'))
}

function hasMissingOutput(project) {
  return project.sources.some((source) => !existsSync(outputOf(project, source)))
}

/** tsc never deletes: the test of a file that moved would go on running from its old place. */
export function removeStaleOutputs(project) {
  const expected = new Set(project.sources.map((source) => outputOf(project, source)))
  if (!existsSync(project.outDir)) return
  for (const name of readdirSync(project.outDir, { recursive: true })) {
    const script = path.join(project.outDir, String(name))
    const declaration = script.replace(/\.js$/, '.d.ts')
    if (!script.endsWith('.js') || expected.has(script) || !existsSync(declaration)) continue
    for (const file of [script, declaration, `${script}.map`, `${declaration}.map`])
      rmSync(file, { force: true })
  }
}
