import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildAddon, buildDirOf } from './build-addon.mjs'
import { buildNccl } from './build-nccl.mjs'
import { findLibTorch, thisHost } from './find-libtorch.mjs'
import { helpText, parseOptions } from './options.mjs'
import { createProgress } from './progress.mjs'
import { choiceLine, rememberChoice, requireLibTorch } from './require-libtorch.mjs'
import { SetupError } from './setup-error.mjs'

const torchDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/**
 * The command line that builds the native add-on; `npm run setup` of a clone puts its own steps around the build.
 * Sets the exit code of the process and prints what went wrong.
 *
 * @param {readonly string[]} args the arguments after the script's name
 * @param {object} command
 * @param {string} command.name begins every error message
 * @param {string} command.run how a user runs it, for messages that ask to run it again; `usage` is that with options
 * @param {string} command.does what it does, for --help
 * @param {string} command.projectDir folder that may hold a `libtorch` folder
 * @param {(progress: object) => Promise<unknown>} [command.beforeBuild] runs once LibTorch is found
 * @param {(progress: object) => Promise<unknown>} [command.afterBuild]
 */
export async function runSetup(args, command) {
  try {
    const options = parseOptions(args)
    if (options.help) process.stdout.write(helpText(command))
    else await setUp(options, command)
  } catch (error) {
    const isExpected = error instanceof SetupError
    process.stderr.write(`${command.name}: ${isExpected ? error.message : error.stack}\n`)
    process.exitCode = isExpected ? error.exitCode : 1
  }
}

async function setUp(options, { run, projectDir, beforeBuild, afterBuild }) {
  requireNode(process.versions.node)
  const host = thisHost(projectDir, run)
  if (host.platform === 'win32')
    throw new SetupError('Windows is not supported: use WSL 2 with Debian or Ubuntu')
  const choice = rememberChoice(options.libtorch, buildDirOf(torchDir, host.env))
  if (options.print) return printDecision(host, choice)

  const progress = createProgress({ quiet: options.quiet })
  const { libtorch, compiler } = await requireLibTorch(host, choice, progress)
  progress.line(choiceLine(libtorch))
  await beforeBuild?.(progress)
  const nodeIncludeDir = createRequire(import.meta.url)('node-api-headers').include_dir
  const input = { torchDir, libtorch, compiler, nodeIncludeDir, host, progress }
  await buildAddon(input)
  await buildNccl(input)
  if (choice.explicit !== undefined) choice.keep(libtorch.root)
  await afterBuild?.(progress)
  progress.line(progress.summary())
}

function requireNode(version) {
  const [major, minor] = version.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 11)) {
    throw new SetupError(`Node ${version} is too old: 20.11 or later is needed (https://nodejs.org)`)
  }
}

function printDecision(host, choice) {
  const decision = findLibTorch(host, choice)
  process.stdout.write(`${JSON.stringify(decision, null, 2)}\n`)
  if (decision.chosen === undefined) process.exitCode = 5
}
