#!/usr/bin/env node
// First of all: without a listener Node opens its inspector on this signal. It asks a run to save and leave, so until a run
// listens for it there is nothing to save: leave, and say that the same command can be given again.
let isStarting = true
process.on('SIGUSR1', () => {
  if (isStarting) process.exit(75)
})
process.on('newListener', (name) => {
  if (name === 'SIGUSR1') isStarting = false
})

const { existsSync } = await import('node:fs')
const { dirname, join } = await import('node:path')
const main = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(main)) {
  try {
    await import(main.href)
  } catch (error) {
    // Not a file of ours that is missing, but descriptors or memory. Without a descriptor left Node says of a package that it is not there.
    const file = /^Cannot find (?:package|module) '([^']+)'/.exec(error?.message)?.[1]
    const isThere =
      file !== undefined && (existsSync(file) || existsSync(join(dirname(file), 'package.json')))
    const isSystem = typeof error?.code === 'string' && /^E[A-Z]+$/.test(error.code)
    if (!isSystem && !(error?.code === 'ERR_MODULE_NOT_FOUND' && isThere)) throw error
    if (isThere) error.message = `EMFILE: too many open files, import '${file}'`
    process.stderr.write(`error: adapt cannot be loaded: ${error.message}\n`)
    process.exit(5)
  }
} else {
  process.stderr.write('error: adapt is not built: run `npm run setup` first\n')
  process.exitCode = 5
}
