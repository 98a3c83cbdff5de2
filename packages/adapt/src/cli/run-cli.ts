import { CommanderError } from 'commander'
import { EXIT } from '../errors.js'
import { createProgram, UNKNOWN_OPTION } from './program.js'
import { type CliIo, safeIo } from './terminal/cli-io.js'
import type { ProcessIo } from './terminal/process-io.js'
import { reportError } from './terminal/report-error.js'

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
    if (error instanceof CommanderError && error.code === 'commander.unknownOption') {
      await writeUnknownOption(argv, error.message, io)
    }
    return reportError(error, io)
  }
}

async function writeUnknownOption(argv: readonly string[], message: string, io: CliIo): Promise<void> {
  const { optionHint } = await import('./option-hint.js')
  const flag = UNKNOWN_OPTION.exec(message)?.[1] ?? ''
  const verb = argv.find((word) => !word.startsWith('-')) ?? ''
  const hint = optionHint(verb, flag, message.includes('Did you mean'))
  const text = message.trim().replace(/\s*\n\s*/g, ' ')
  io.stderr.line(hint === undefined ? text : `error: unknown option '${flag}' (${hint})`)
}
