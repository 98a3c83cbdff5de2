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
