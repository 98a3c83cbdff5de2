import { EXIT } from '../errors.js'
import { runCli } from './run-cli.js'
import { safeIo } from './terminal/cli-io.js'
import { guardOutput } from './terminal/output-guard.js'
import { reportError } from './terminal/report-error.js'

const argv = process.argv.slice(2)

const finalCode = guardOutput(process.stdout, {
  argv,
  say: (line) => process.stderr.write(`${line}\n`),
  leave: (exitCode) => process.exit(exitCode),
})
process.stderr.on('error', () => {
  // Nobody reads the messages; there is nowhere left to say so.
})
let isReporting = false
process.on('uncaughtException', (error) => {
  // What keeps an error from being told must not begin that again.
  if (isReporting) process.exit(EXIT.bug)
  isReporting = true
  void reportError(error, safeIo(process)).then((code) => process.exit(code))
})

const exitCode = finalCode(await runCli(argv))
// Waits for what is buffered in a pipe, then leaves even if a worker or a handle were still open.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit(exitCode)
