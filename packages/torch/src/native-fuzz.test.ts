import { describe, expect, it } from 'vitest'
import { runFile } from './testing/child-process.test.fixture.js'

const file = new URL('./testing/fuzz-native.test.worker.js', import.meta.url)

describe('the add-on', () => {
  it.each([1, 2])('answers wrong arguments with coded errors and never dies: seed %i', (seed) => {
    // What LibTorch warns of goes to stderr too.
    const { status, signal, stdout, stderr } = runFile(file, [String(seed), '3000'])
    expect({ status, signal }, stderr.slice(-2000)).toEqual({ status: 0, signal: null })
    const report = JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, number>
    expect(report).toMatchObject({ live: true })
    expect(report.numThrown).toBeGreaterThan(1000)
    expect(report.numDone).toBeGreaterThan(200)
    expect(report.numOperatorsRun).toBeGreaterThan(50)
  })
})
