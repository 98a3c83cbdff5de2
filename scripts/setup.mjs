#!/usr/bin/env node
// Gets a clone ready to run. Node built-ins only: it runs before any package is installed.
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildAddon } from './setup/build-addon.mjs'
import { compileTypeScript } from './setup/compile-typescript.mjs'
import { findLibTorch, thisHost } from './setup/find-libtorch.mjs'
import { installPackages } from './setup/install-packages.mjs'
import { helpText, parseOptions } from './setup/options.mjs'
import { createProgress } from './setup/progress.mjs'
import { choiceLine, rememberChoice, requireLibTorch } from './setup/require-libtorch.mjs'
import { SetupError } from './setup/setup-error.mjs'

const projectDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const torchDir = path.join(projectDir, 'packages/torch')

async function setUp(options) {
  requireNode(process.versions.node)
  const host = thisHost(projectDir)
  if (host.platform === 'win32')
    throw new SetupError('Windows is not supported: use WSL 2 with Debian or Ubuntu')
  const choice = rememberChoice(options.libtorch, path.join(torchDir, 'build'))
  if (options.print) return printDecision(host, choice)

  const progress = createProgress({ quiet: options.quiet })
  const { libtorch, compiler } = await requireLibTorch(host, choice, progress)
  progress.line(choiceLine(libtorch))
  await installPackages(projectDir, progress)
  const nodeIncludeDir = createRequire(import.meta.url)('node-api-headers').include_dir
  await buildAddon({ torchDir, libtorch, compiler, nodeIncludeDir, host, progress })
  if (choice.explicit !== undefined) choice.keep(libtorch.root)
  await compileTypeScript(projectDir, progress)
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

try {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(helpText)
  else await setUp(options)
} catch (error) {
  const isExpected = error instanceof SetupError
  process.stderr.write(`setup: ${isExpected ? error.message : error.stack}\n`)
  process.exitCode = isExpected ? error.exitCode : 1
}
