import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { renderReport } from './render-report.js'
import { embeddedCharts, input } from './report-page.test.fixture.js'
import { writeReport } from './write-report.js'

describe('writeReport', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'report-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('writes the page and nothing else, over an older one', () => {
    const path = join(folder, 'report.html')
    writeFileSync(path, 'old')
    writeReport(path, input)
    expect(readFileSync(path, 'utf8') === renderReport(input)).toBe(true)
    expect(readdirSync(folder)).toEqual(['report.html'])
  })

  it('reports a folder that is not there', () => {
    const attempt = (): void => writeReport(join(folder, 'missing', 'report.html'), input)
    expect(attempt).toThrow(expect.objectContaining({ code: 'REPORT_WRITE', exitCode: 5 }))
  })

  // A browser is no part of the project: ADAPT_TEST_CHROMIUM names one to draw the page with.
  // ADAPT_TEST_REPORT keeps the page for looking at it.
  const browser = process.env.ADAPT_TEST_CHROMIUM
  it.skipIf(!browser)('is drawn by a real browser without an error (needs ADAPT_TEST_CHROMIUM)', () => {
    const path = process.env.ADAPT_TEST_REPORT ?? join(folder, 'drawn.html')
    writeReport(path, input)
    const flags = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-sync',
    ]
    const quiet = [
      '--disable-background-networking',
      '--disable-component-update',
      `--user-data-dir=${join(folder, 'profile')}`,
    ]
    const log = ['--enable-logging=stderr', '--dump-dom']
    const child = spawnSync(browser!, [...flags, ...quiet, ...log, `file://${path}`], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    expect(child.stderr.split('\n').filter((line) => /CONSOLE|Uncaught|Refused/.test(line))).toEqual([])
    expect(child.stdout.match(/<canvas/g)).toHaveLength(embeddedCharts(readFileSync(path, 'utf8')).length)
    expect(child.stdout.includes('<script>globalThis.injected')).toBe(false)
  })
})
