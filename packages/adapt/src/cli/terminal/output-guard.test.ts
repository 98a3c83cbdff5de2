import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { guardOutput } from './output-guard.js'

function guard(command: string, code: string) {
  const stdout = new EventEmitter()
  const said: string[] = []
  const left: number[] = []
  const argv = command.split(' ')
  const final = guardOutput(stdout, {
    argv,
    say: (line) => said.push(line),
    leave: (exitCode) => left.push(exitCode),
  })
  for (let i = 0; i < 3; i++) stdout.emit('error', Object.assign(new Error('write'), { code }))
  return { said, left, final }
}

describe('guardOutput', () => {
  it.each([
    'EPIPE',
    'ENOSPC',
    'EIO',
  ])('says once that nobody takes the output of a training (%s), which goes on', (code) => {
    for (const command of ['train run.yaml', 'compare study.yaml']) {
      const { said, left, final } = guard(command, code)
      expect(said).toHaveLength(1)
      expect(said[0]).toContain(code)
      expect(left).toEqual([])
      expect([0, 4, 75].map(final)).toEqual([0, 4, 75])
    }
  })

  it('ends other commands: with 0 when the reader had enough, else with 5', () => {
    expect(guard('schema', 'EPIPE')).toMatchObject({ said: [], left: [0] })
    const full = guard('eval --model x', 'ENOSPC')
    expect(full.left).toEqual([5])
    expect(full.said[0]).toMatch(/^error: .*ENOSPC/)
  })

  it('does not say that a comparison is done whose figures were lost', () => {
    expect(guard('compare study.yaml --json -', 'ENOSPC').final(0)).toBe(5)
    expect(guard('compare study.yaml --json=-', 'ENOSPC').final(4)).toBe(4)
    expect(guard('compare study.yaml --json -', 'EPIPE').final(0)).toBe(0)
  })
})
