import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { runCli } from '../run-cli.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('adapt train --quiet', () => {
  it('tells warnings, and names no report that could not be written', async () => {
    await workshop.train('run', ['training.max_steps=2'], { stopAfterStep: 1 })
    const report = path.join(workshop.runFolder('run'), 'report.html')
    rmSync(report)
    mkdirSync(report)
    const out = { stdout: '', stderr: '' }
    const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (out[name] += text) })
    const set = ['--set', 'training.max_steps=2']
    const args = ['train', workshop.file('run.yaml'), ...set, '--output-dir', workshop.runFolder('run')]
    expect(
      await runCli([...args, '--quiet'], { stdout: sink('stdout'), stderr: sink('stderr'), env: {} }),
    ).toBe(0)
    expect(out.stderr).toMatch(/^warning: report: cannot write .*report\.html/m)
    expect(out.stdout).toMatch(/^run .*\nmodel .*\n$/)
  })
})

describe('adapt train', () => {
  it.each([1, 2])('ends each stage until the first step of %i with a mark', async (numSteps) => {
    performance.clearMarks()
    const sink = { write: () => {} }
    const args = ['train', workshop.file('run.yaml'), '--set', `training.max_steps=${numSteps}`]
    const marked = [...args, '--output-dir', workshop.runFolder(`marked-${numSteps}`)]
    expect(await runCli(marked, { stdout: sink, stderr: sink, env: {} })).toBe(0)
    const names = performance.getEntriesByType('mark').map(({ name }) => name)
    const stages = ['command', 'config', 'program', 'engine', 'inputs', 'model', 'folder', 'first-step']
    expect(names).toEqual(stages.map((stage) => `adapt:${stage}`))
  })
})
