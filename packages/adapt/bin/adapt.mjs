#!/usr/bin/env node
process.on('SIGUSR1', () => {}) // First of all: without a listener Node opens its inspector on this signal.

const { existsSync } = await import('node:fs')
const main = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(main)) {
  await import(main.href)
} else {
  process.stderr.write('error: adapt is not built: run `npm run setup` first\n')
  process.exitCode = 5
}
