import { EXIT } from '../errors.js'
import { reportError } from './report-error.js'
import { runCli } from './run-cli.js'
import { safeIo } from './safe-stream.js'

const argv = process.argv.slice(2)

// A closed pipe (`adapt schema | head`) is no error of the reader's. A training that is cut off is not done, though.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(argv[0] === 'train' ? EXIT.resource : EXIT.done)
  throw error
})
process.stderr.on('error', () => {
  // Nobody reads the messages; there is nowhere left to say so.
})
process.on('uncaughtException', (error) => {
  void reportError(error, safeIo(process)).then((code) => process.exit(code))
})

const exitCode = await runCli(argv)
// Waits for what is buffered in a pipe, then leaves even if a worker or a handle were still open.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit(exitCode)
