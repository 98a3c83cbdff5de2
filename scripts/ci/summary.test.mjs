import { execFileSync, spawnSync } from 'node:child_process'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from '../../packages/torch/setup/fake-host.test.fixture.mjs'
import { countTests } from './summary.mjs'

const script = path.join(import.meta.dirname, 'summary.mjs')
const report = (...files) =>
  JSON.stringify({
    testResults: files.map(([status, ...statuses]) => ({
      status,
      assertionResults: statuses.map((state) => ({ status: state })),
    })),
  })
let folder
beforeEach(() => {
  folder = createFakeHost()
})
afterEach(() => folder.remove())

describe('countTests', () => {
  it('counts tests over all files, whatever the reason they did not run', () => {
    const text = report(['failed', 'passed', 'failed', 'pending'], ['passed', 'passed', 'skipped', 'todo'])
    expect(countTests(text)).toEqual({ passed: 2, failed: 1, skipped: 3 })
  })

  it('counts a file that failed to load, and a missing report, as a failure', () => {
    expect(countTests(report(['failed'], ['passed', 'passed']))).toEqual({ passed: 1, failed: 1, skipped: 0 })
    expect(countTests('')).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })
})

describe('the summary script', () => {
  it('ends with the counts and succeeds only when all steps did', () => {
    const file = folder.write('report.json', report(['passed', 'passed', 'skipped']))
    const text = execFileSync(process.execPath, [script, file], { encoding: 'utf8' })
    expect(text).toBe('1 passed, 0 failed, 1 skipped\n')
    const both = `${file},${folder.write('more.json', report(['passed', 'passed', 'passed']))}`
    expect(execFileSync(process.execPath, [script, both], { encoding: 'utf8' })).toBe(
      '3 passed, 0 failed, 1 skipped\n',
    )
    const failed = spawnSync(process.execPath, [script, file, 'lint'], { encoding: 'utf8' })
    expect(failed.status).toBe(1)
    expect(failed.stdout).toBe('\nFAILED: lint\n1 passed, 0 failed, 1 skipped\n')
    const empty = spawnSync(process.execPath, [script, folder.write('empty.json', '')], { encoding: 'utf8' })
    expect([empty.status, empty.stdout]).toEqual([1, '0 passed, 1 failed, 0 skipped\n'])
  })
})
