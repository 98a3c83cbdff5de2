import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { runCli } from '../run-cli.js'

async function evaluate(...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (out[name] += text) })
  const io = { stdout: sink('stdout'), stderr: sink('stderr'), env: {} }
  return { exitCode: await runCli(['eval', ...args], io), ...out }
}

describe('adapt eval --tasks', () => {
  test.each([
    [['--tasks', ' , '], '--tasks: expected names of tasks, received none'],
    [['--tasks', 'piqa', '--limit', '0'], '--limit: expected a number above 0 with --tasks, received 0'],
    [
      ['--tasks', 'piqa', '--fewshot-as-multiturn'],
      '--fewshot-as-multiturn: expected it with --apply-chat-template',
    ],
  ])('%j is refused', async (args, message) => {
    expect(await evaluate('--model', 'none', ...args)).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `error: ${message}\n`,
    })
  })

  test('a file in the place of the folder is refused before anything is read', async () => {
    const args = ['--model', 'none', '--tasks', 'piqa', '--output', fileURLToPath(import.meta.url)]
    expect(await evaluate(...args)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: --output: expected a folder, received the file /),
    })
  })

  test('list shows whole names, and as JSON', async () => {
    const name = 'bbh_direct_salient_translation_error_detection'
    expect((await evaluate('--tasks', 'list')).stdout).toMatch(new RegExp(`^${name} +task `, 'm'))
    const { stdout } = await evaluate('--tasks', 'list', '--json')
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ name, kind: 'task' }))
  })

  test('list names the files that it leaves out, with what is wrong', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'adapt-list-'))
    writeFileSync(join(folder, 'good.yaml'), 'task: good\ndataset_path: a.jsonl\n')
    writeFileSync(join(folder, 'bad.yaml'), 'task: bad\ndataset_path: a.jsonl\ntest_splitt: test\n')
    const found = await evaluate('--tasks', 'list', '--include-path', folder)
    rmSync(folder, { recursive: true })
    expect(found.exitCode).toBe(0)
    expect(found.stdout).toMatch(/^good +task /m)
    expect(found.stderr).toMatch(/^warning: left out: .*bad\.yaml.*test_splitt/m)
  })
})
