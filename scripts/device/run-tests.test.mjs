import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'

const folder = mkdtempSync(path.join(tmpdir(), 'adapt-run-tests-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('counts what passed, failed and was skipped, also where a hook, a file or the process fails', () => {
  const write = (name, body) =>
    writeFileSync(
      path.join(folder, `${name}.test.js`),
      `import { beforeAll, describe, expect, it } from 'vitest'\n${body}\n`,
    )
  write(
    'a-mixed',
    `
    describe.each([1, 2])('of %d', (n) => it('is one', () => expect(n).toBe(1)))
    it.skip('is left out', () => {})
    it('throws what is expected', () => expect(() => { throw Object.assign(new Error('x'), { code: 'A' }) })
      .toThrow(expect.objectContaining({ code: 'A' })))`,
  )
  write(
    'b-hook',
    `describe('set-up', () => { beforeAll(() => { throw new Error('no device') }); it('runs', () => {}) })`,
  )
  write('c-throws', `throw new Error('cannot be read')`)
  write('d-dies', `it('ends the process', () => process.kill(process.pid, 'SIGKILL'))`)
  const { status, stdout } = spawnSync(
    process.execPath,
    [path.join(import.meta.dirname, 'run-tests.mjs'), '--jobs', '2', folder],
    { encoding: 'utf8' },
  )
  const result = JSON.parse(stdout.trimEnd().split('\n').at(-1))
  expect(status).toBe(1)
  expect(result).toMatchObject({ files: 4, passed: 2, failed: 4 })
  const messages = result.failures.map(({ test, message }) => `${test}: ${message}`)
  expect(messages.sort()).toEqual([
    expect.stringContaining('cannot be read'),
    'of 2 > is one: expected 2 to be 1 // Object.is equality',
    'set-up: no device',
    expect.stringContaining('the file: ended by SIGKILL'),
  ])
})
