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
  const program = createProgram(io, (code) => {
    exitCode = code
  })
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.code === 'commander.unknownOption') {
      const verb = argv.find((word) => !word.startsWith('-')) ?? ''
      const options = program.commands.find((command) => command.name() === verb)?.options ?? []
      await writeUnknownOption(verb, error.message, { io, own: options.map(({ long }) => long ?? '') })
    }
    return reportError(error, io)
  }
}

/** @param own  The options of the verb. */
async function writeUnknownOption(
  verb: string,
  message: string,
  { io, own }: { readonly io: CliIo; readonly own: readonly string[] },
): Promise<void> {
  const { optionHint } = await import('./option-hint.js')
  const flag = UNKNOWN_OPTION.exec(message)?.[1] ?? ''
  const isMistyped = message.includes('Did you mean')
  const whole = flag.length < 4 ? undefined : own.find((long) => long.startsWith(flag))
  const hint = whole ? `Did you mean ${whole}?` : optionHint(verb, flag, isMistyped)
  const text = message.trim().replace(/\s*\n\s*/g, ' ')
  io.stderr.line(hint === undefined ? text : `error: unknown option '${flag}' (${hint})`)
}
