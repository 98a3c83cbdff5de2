#!/usr/bin/env node
// Gets a clone ready to run. Node built-ins only: it runs before any package is installed.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runSetup } from '../packages/torch/setup/run-setup.mjs'
import { compileTypeScript } from './setup/compile-typescript.mjs'
import { installPackages } from './setup/install-packages.mjs'

const projectDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

await runSetup(process.argv.slice(2), {
  name: 'setup',
  run: 'npm run setup',
  usage: 'npm run setup -- [options]      (node scripts/setup.mjs [options])',
  does: `Gets a clone ready to run: installs the npm packages of package-lock.json, finds (on Debian and
Ubuntu, as root: installs) LibTorch, builds the native add-on and compiles the TypeScript.`,
  projectDir,
  beforeBuild: (progress) => installPackages(projectDir, progress),
  afterBuild: (progress) => compileTypeScript(projectDir, progress),
})
