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
  if (error instanceof TorchError) throw error
  const native = error as { code?: string; message?: string; nativeBacktrace?: string }
  const firstLine = String(native.message ?? error).split('\n', 1)[0] ?? ''
  const details = native.nativeBacktrace ? { nativeBacktrace: native.nativeBacktrace } : {}
  throw new TorchError(native.code ?? 'TORCH_ERROR', `${where}: ${firstLine}`, { ...context, ...details })
}
