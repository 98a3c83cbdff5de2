import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Workshop } from '../experiment/workshop.test.fixture.js'
import { runCli } from './run-cli.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('adapt train --quiet', () => {
  it('tells warnings, and names no report that could not be written', async () => {
    await workshop.train('run', ['training.max_steps=2'], { stopAfterStep: 1 })
    const report = path.join(workshop.runFolder('run'), 'report.html')
    rmSync(report)
    mkdirSync(report)
    let stdout = ''
    const io = { write: (text: string) => (stdout += text) }
    const set = ['--set', 'training.max_steps=2']
    const args = ['train', workshop.file('run.yaml'), ...set, '--output-dir', workshop.runFolder('run')]
    expect(await runCli([...args, '--quiet'], { stdout: io, stderr: { write: () => {} }, env: {} })).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^warning: report: cannot write .*report\.html/)
    expect(lines.slice(1).map((line) => line.split(' ')[0])).toEqual(['run', 'model'])
  })
})
