import type { ProcessIo } from './process-io.js'
import { SafeStream } from './safe-stream.js'

/** What a command may use of the process: nothing of what others wrote reaches a terminal as a command to it. */
export interface CliIo {
  readonly stdout: SafeStream
  readonly stderr: SafeStream
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The process with safe streams. */
export function safeIo({ stdout, stderr, env }: ProcessIo): CliIo {
  return { stdout: new SafeStream(stdout), stderr: new SafeStream(stderr), env }
}
