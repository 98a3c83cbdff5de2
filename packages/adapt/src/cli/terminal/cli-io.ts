import type { SafeStream } from './safe-stream.js'

/** Where a process writes. `process.stdout` and `process.stderr` fit. */
export interface OutputStream {
  write(text: string): unknown
  readonly isTTY?: boolean
  /** Width of the terminal in characters. */
  readonly columns?: number
}

/** What a command line is given of the process. `process` fits. */
export interface ProcessIo {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What a command may use of the process: nothing of what others wrote reaches a terminal as a command to it. */
export interface CliIo {
  readonly stdout: SafeStream
  readonly stderr: SafeStream
  readonly env: Readonly<Record<string, string | undefined>>
}
