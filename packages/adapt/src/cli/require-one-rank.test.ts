import { expect, it } from 'vitest'
import { runCli } from './run-cli.js'

it.each([
  ['torchrun', { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '1' }, 2],
  ['nothing', { RANK: '0', WORLD_SIZE: '1', MASTER_ADDR: 'a', MASTER_PORT: '1' }, 0],
  ['half a launch', { RANK: 'x', WORLD_SIZE: '2' }, 2],
])('work for one process, started by %s', async (_, env, code) => {
  let stderr = ''
  const sink = { write: (text: string) => (stderr += text) }
  const run = (args: string[]) => runCli(args, { stdout: { write: () => {} }, stderr: sink, env })
  expect(await run(['compare', 'no-such-study.yaml'])).toBe(2)
  expect(stderr).toMatch(code === 2 ? /rank 1 of 2|RANK is "x"/ : /no-such-study/)
  expect(stderr.trim().split('\n').length).toBe(1)
  expect(await run(['methods', 'uniform'])).toBe(0)
})
