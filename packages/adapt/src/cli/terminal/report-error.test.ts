import { createRequire } from 'node:module'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, HostileFileError } from '../../errors.js'
import { safeIo } from './cli-io.js'
import { reportError } from './report-error.js'

async function report(error: unknown, env: Record<string, string> = {}) {
  let stderr = ''
  const stream = { write: (text: string) => (stderr += text) }
  const exitCode = await reportError(error, safeIo({ stdout: stream, stderr: stream, env }))
  return { exitCode, stderr }
}

function withCode(name: string, code: string, message = 'm'): Error {
  return Object.assign(new Error(message), { name, code })
}

describe('reportError', () => {
  it('tells a package that Node cannot open from one that is not there', async () => {
    const notFound = (file: string) =>
      Object.assign(new Error(`Cannot find package '${file}' imported from /a.js`), {
        code: 'ERR_MODULE_NOT_FOUND',
      })
    const folder = path.dirname(createRequire(import.meta.url).resolve('yaml/package.json'))
    const there = await report(notFound(path.join(folder, 'index.js')))
    expect(there).toMatchObject({ exitCode: 5 })
    expect(there.stderr).toMatch(/^error: EMFILE: too many open files, import '.*yaml.index.js'\n$/)
    expect(await report(notFound('/nowhere/yaml/index.js'))).toMatchObject({ exitCode: 1 })
  })

  it('prints one line per problem and gives the exit code of the error', async () => {
    expect(await report(new ConfigError('INVALID_CONFIG', 'first\nsecond', { issues: [] }))).toEqual({
      exitCode: 2,
      stderr: 'error: first\nerror: second\n',
    })
    expect((await report(new HostileFileError('X', 'm'))).exitCode).toBe(7)
  })

  it.each([
    ['TorchError', 'OUT_OF_MEMORY', 5],
    ['TorchError', 'LIBTORCH_NOT_FOUND', 5],
    ['TorchError', 'ADDON_NOT_BUILT', 5],
    ['TorchError', 'NO_PROCESS_GROUPS', 5],
    ['TorchError', 'SAFETENSORS_HEADER', 7],
    ['TorchError', 'LAUNCH_ENVIRONMENT', 2],
    ['PeerError', 'PEER_FAILED', 6],
    ['SafetensorsError', 'SAFETENSORS_LENGTH', 7],
    ['TorchError', 'SHAPE_MISMATCH', 1],
    ['Error', 'ENOSPC', 5],
    ['Error', 'ERR_INVALID_ARG_TYPE', 1],
    ['Error', 'OUT_OF_MEMORY', 1],
  ])('maps %s %s to exit code %d', async (name, code, exitCode) => {
    expect((await report(withCode(name, code))).exitCode).toBe(exitCode)
  })

  it('names its own bugs as such and shows the stack only on request', async () => {
    const { exitCode, stderr } = await report(new TypeError('x is undefined'))
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^internal error: x is undefined\n.*ADAPT_DEBUG=1.*\n$/)
    const debug = await report(new TypeError('outer', { cause: new Error('inner') }), { ADAPT_DEBUG: '1' })
    expect(debug.stderr).toMatch(/TypeError: outer\n {4}at [\s\S]*Error: inner\n {4}at /)
  })

  it('takes anything that is thrown', async () => {
    expect(await report('text')).toMatchObject({ exitCode: 1 })
    expect(await report(undefined)).toMatchObject({ exitCode: 1 })
  })

  it('does not pass terminal controls on', async () => {
    const { stderr } = await report(new ConfigError('X', 'a\u001b[2Jb\u202ec'))
    expect(stderr).toBe('error: a\\u{1b}[2Jb\\u{202e}c\n')
  })
})
