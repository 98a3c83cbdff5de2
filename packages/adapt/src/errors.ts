/**
 * Errors a user can cause. Each carries a stable `code`, structured `context` and the exit code of the
 * process; the CLI prints `message` as one line. Anything else that is thrown is a bug of ours (exit 1).
 */
export class AdaptError extends Error {
  readonly code: string
  readonly exitCode: number
  readonly context: Readonly<Record<string, unknown>>

  constructor(
    code: string,
    exitCode: number,
    message: string,
    context: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = new.target.name
    this.code = code
    this.exitCode = exitCode
    this.context = context
  }
}

/** Process exit codes; see "Exit codes" in ARCHITECTURE.md. */
export const EXIT = {
  done: 0,
  bug: 1,
  config: 2,
  data: 3,
  numeric: 4,
  resource: 5,
  peer: 6,
  hostile: 7,
  resumable: 75,
  interrupted: 130,
} as const

type Context = Readonly<Record<string, unknown>>

/** A config key, a missing file or missing anchors. Exit 2. */
export class ConfigError extends AdaptError {
  constructor(code: string, message: string, context: Context = {}, options?: ErrorOptions) {
    super(code, EXIT.config, message, context, options)
  }
}

/** Training, anchor or evaluation data that cannot be used. Exit 3. */
export class DataError extends AdaptError {
  constructor(code: string, message: string, context: Context = {}, options?: ErrorOptions) {
    super(code, EXIT.data, message, context, options)
  }
}

/** A non-finite loss or gradient. Exit 4. */
export class NumericError extends AdaptError {
  constructor(code: string, message: string, context: Context = {}, options?: ErrorOptions) {
    super(code, EXIT.numeric, message, context, options)
  }
}

/** Memory, disk, network or set-up. Exit 5. */
export class ResourceError extends AdaptError {
  constructor(code: string, message: string, context: Context = {}, options?: ErrorOptions) {
    super(code, EXIT.resource, message, context, options)
  }
}

/** A damaged or hostile file. Exit 7. */
export class HostileFileError extends AdaptError {
  constructor(code: string, message: string, context: Context = {}, options?: ErrorOptions) {
    super(code, EXIT.hostile, message, context, options)
  }
}
