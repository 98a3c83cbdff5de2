import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { ResourceError } from '../../errors.js'
import type { CliIo } from '../terminal/cli-io.js'

export interface SetupOptions {
  readonly libtorch?: string
  readonly print?: boolean
  readonly quiet?: boolean
}

/**
 * `adapt setup`: runs `adapt-torch-build` of the installed `@adapt-ts/torch`, which a package manager need not link
 * for a dependency of a dependency.
 *
 * @returns its exit code.
 * @throws {ResourceError} SETUP_NOT_STARTED
 */
export async function setupCommand(options: SetupOptions, io: CliIo): Promise<number> {
  const manifest = createRequire(import.meta.url).resolve('@adapt-ts/torch/package.json')
  const script = join(dirname(manifest), 'bin', 'adapt-torch-build.mjs')
  const args = [
    ...(options.libtorch === undefined ? [] : ['--libtorch', options.libtorch]),
    ...(options.print === true ? ['--print'] : []),
    ...(options.quiet === true ? ['--quiet'] : []),
  ]
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...io.env },
  })
  child.stdout.on('data', (chunk: Buffer) => io.stdout.write(chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => io.stderr.write(chunk.toString()))
  return await new Promise((resolve, reject) => {
    child.on('error', (cause) => {
      reject(new ResourceError('SETUP_NOT_STARTED', `${script}: ${cause.message}`, {}, { cause }))
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}
