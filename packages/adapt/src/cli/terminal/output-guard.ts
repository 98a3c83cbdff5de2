import { EXIT } from '../../errors.js'

/** Commands whose result lies in a folder; what they print is told besides. */
const WORKS_IN_FOLDER = ['train', 'compare', 'quickstart']

/** A stream that says when it cannot be written, as `process.stdout` does. */
export interface GuardedStream {
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown
}

/**
 * Decides what becomes of a command whose standard output cannot be written: its reader is gone (EPIPE), the disk is full, the
 * terminal was closed. A training says so once and goes on. Any other command has nothing left to do: it ends with 0 when
 * its reader had enough, else with 5.
 *
 * @param options.leave  Ends the process.
 * @returns the exit code of the process for that of the command.
 */
export function guardOutput(
  stdout: GuardedStream,
  options: {
    readonly argv: readonly string[]
    readonly say: (line: string) => void
    readonly leave: (exitCode: number) => void
  },
): (exitCode: number) => number {
  const { argv, say, leave } = options
  let lost: string | undefined
  stdout.on('error', ({ code, message }) => {
    if (lost !== undefined) return
    lost = code ?? message
    if (WORKS_IN_FOLDER.includes(argv[0] ?? '')) {
      say(
        `warning: standard output cannot be written (${lost}); what would be printed is dropped, the work goes on`,
      )
    } else if (lost === 'EPIPE') {
      leave(EXIT.done)
    } else {
      say(`error: standard output cannot be written (${lost})`)
      leave(EXIT.resource)
    }
  })
  // The figures of a comparison may be what was asked for on standard output.
  const printsResult = argv.some(
    (text, i) => text === '--json=-' || (text === '-' && argv[i - 1] === '--json'),
  )
  return (exitCode) => {
    const isMissed = lost !== undefined && lost !== 'EPIPE' && printsResult
    return exitCode === EXIT.done && isMissed ? EXIT.resource : exitCode
  }
}
