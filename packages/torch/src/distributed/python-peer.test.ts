import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const program = fileURLToPath(new URL('../../../../tools/reference/check_process_group.py', import.meta.url))

it('reduces to the bits of a Python rank in the same job, and is restarted by torchrun', (context) => {
  const python = process.env.ADAPT_REFERENCE_PYTHON
  if (!python) return context.skip('needs ADAPT_REFERENCE_PYTHON: a Python with PyTorch')
  const { status, stdout } = spawnSync(python, [program, '--node', process.execPath], { encoding: 'utf8' })
  if (status === 77) context.skip(stdout.trim())
  expect([status, stdout]).toEqual([0, expect.stringContaining('all equal')])
})
