import type { Command } from 'commander'
import type { CliIo } from '../terminal/cli-io.js'

/** What the declaration of a verb needs. Its code is imported when it runs, so that `--help` answers at once. */
export interface CommandLine {
  readonly program: Command
  readonly io: CliIo
  /** Called by a verb that ends without an error but not with 0. */
  readonly onExitCode: (code: number) => void
}
