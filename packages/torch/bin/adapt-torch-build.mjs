#!/usr/bin/env node
// Builds the add-on of an installed package. A command that a person runs, not an install script: `npm install
// --ignore-scripts` is enough, and nothing compiles or downloads without being asked to.
import { runSetup } from '../setup/run-setup.mjs'

await runSetup(process.argv.slice(2), {
  name: 'adapt-torch-build',
  run: 'npx adapt-torch-build',
  usage: 'npx adapt-torch-build [options]',
  does: 'Finds (on Debian and Ubuntu, as root: installs) LibTorch and builds the native add-on against it.',
  projectDir: process.cwd(),
})
