import { EXIT } from '../errors.js'
import type { ProcessIo } from './cli-io.js'
import { createProgram } from './program.js'
import { reportError } from './report-error.js'
import { safeIo } from './safe-stream.js'

/**
 * Runs one command line.
 *
 * @param argv  Arguments after the program's name.
 * @returns the exit code; never throws.
 */
export async function runCli(argv: readonly string[], processIo: ProcessIo = process): Promise<number> {
  const io = safeIo(processIo)
  let exitCode: number = EXIT.done
  try {
    const program = createProgram(io, (code) => {
      exitCode = code
    })
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    return reportError(error, io)
  }
}
