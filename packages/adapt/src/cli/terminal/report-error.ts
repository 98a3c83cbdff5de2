import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CommanderError } from 'commander'
import { AdaptError, EXIT } from '../../errors.js'
import type { CliIo } from './cli-io.js'

// Errors of the operating system that no code of ours caused.
const SYSTEM_ERRORS = new Set([
  ...['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'EIO', 'ENOMEM', 'EBUSY'],
])

// Of the engine: memory, or a set-up that lacks something.
const ENGINE_RESOURCES = new Set([
  ...['OUT_OF_MEMORY', 'LIBTORCH_NOT_FOUND', 'ADDON_NOT_BUILT', 'NO_PROCESS_GROUPS'],
])

/**
 * Writes an error to stderr and gives the exit code. Errors a user can cause are one `error:` line per problem;
 * anything else is a bug of ours, whose stack is shown only when ADAPT_DEBUG=1.
 */
export async function reportError(thrown: unknown, io: CliIo): Promise<number> {
  const error = asSystemError(thrown)
  if (error instanceof CommanderError) {
    // Help, version and usage errors are written by commander itself, through the program's own streams.
    return error.exitCode === 0 ? EXIT.done : EXIT.config
  }
  const exitCode = exitCodeOf(error)
  // A run that was stopped and can go on is not in error.
  const prefixes: Readonly<Record<number, string>> = {
    [EXIT.bug]: 'internal error',
    [EXIT.resumable]: 'stopped',
  }
  const prefix = prefixes[exitCode] ?? 'error'
  const message = error instanceof Error ? error.message || error.name : String(error)
  for (const line of linesOf(error, message)) io.stderr.line(`${prefix}: ${line}`)
  if (io.env.ADAPT_DEBUG === '1') {
    for (let e: unknown = error; e instanceof Error; e = e.cause) io.stderr.write(`${e.stack}\n`)
  } else if (exitCode === EXIT.bug) {
    io.stderr.write('This is a bug in adapt. Set ADAPT_DEBUG=1 to see where it happened.\n')
  }
  return exitCode
}

/** Without a descriptor left Node cannot read a package, and says that it is not there: where it is there, that is what was meant. */
function asSystemError(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (code !== 'ERR_MODULE_NOT_FOUND') return error
  const file = /^Cannot find (?:package|module) '([^']+)'/.exec(String(message))?.[1]
  if (file === undefined || !(existsSync(file) || existsSync(join(dirname(file), 'package.json'))))
    return error
  const meant = new Error(`EMFILE: too many open files, import '${file}'`, { cause: error })
  return Object.assign(meant, { code: 'EMFILE' })
}

/**
 * The lines that an error means: one for each of its problems, or one and those that are set in below it. Any other
 * line break is part of what somebody named.
 */
function linesOf(error: unknown, message: string): readonly string[] {
  const isList = !(error instanceof AdaptError) || 'issues' in error.context || 'problems' in error.context
  return message.split(isList ? '\n' : /\n(?= {2})/)
}

function exitCodeOf(error: unknown): number {
  if (error instanceof AdaptError) return error.exitCode
  if (!(error instanceof Error)) return EXIT.bug
  const code = (error as { readonly code?: unknown }).code
  if (typeof code !== 'string') return EXIT.bug
  // The engine is not imported to tell its errors: most commands never load it.
  if (error.name === 'SafetensorsError') return EXIT.hostile
  if (error.name === 'PeerError') return EXIT.peer
  if (code === 'LAUNCH_ENVIRONMENT') return EXIT.config
  if (error.name === 'TorchError') {
    if (ENGINE_RESOURCES.has(code)) return EXIT.resource
    return code.startsWith('SAFETENSORS_') ? EXIT.hostile : EXIT.bug
  }
  return SYSTEM_ERRORS.has(code) ? EXIT.resource : EXIT.bug
}
