/** An error of the engine: misuse, a failed operator, memory, files. `code` is stable, `context` says where. */
export class TorchError extends Error {
  readonly code: string
  /** `op`, `shapes` and `nativeBacktrace` when an operator failed. */
  readonly context: Readonly<Record<string, unknown>>

  constructor(code: string, message: string, context: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TorchError'
    this.code = code
    this.context = context
  }
}

/** Runs a native call and turns what it throws into a TorchError with a one-line message. */
export function rethrow(error: unknown, where: string, context: Record<string, unknown> = {}): never {
  throw error instanceof TorchError ? error : wrapError(error, where, context)
}

/** What was thrown as a TorchError with a one-line message that begins with `where`. */
export function wrapError(error: unknown, where: string, context: Record<string, unknown> = {}): TorchError {
  const native = error as { code?: string; message?: string; nativeBacktrace?: string }
  const firstLine = String(native.message ?? error).split('\n', 1)[0] ?? ''
  const details = native.nativeBacktrace ? { nativeBacktrace: native.nativeBacktrace } : {}
  return new TorchError(native.code ?? 'TORCH_ERROR', `${where}: ${firstLine}`, { ...context, ...details })
}
