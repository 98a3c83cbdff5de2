#!/usr/bin/env node
// Usage: summary.mjs REPORT[,REPORT...] [FAILED_STEP...]. Prints the test counts of vitest's JSON reports as the last line.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/**
 * Counts tests; a file that failed before its first test counts as one failure, and so does a missing report.
 * @param {string} reportText content of vitest's JSON report, '' when there is none
 */
export function countTests(reportText) {
  if (reportText.trim() === '') return { passed: 0, failed: 1, skipped: 0 }
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of JSON.parse(reportText).testResults) {
    const statuses = file.assertionResults.map(({ status }) => status)
    if (file.status === 'failed' && !statuses.includes('failed')) counts.failed++
    for (const status of statuses) {
      if (status === 'passed') counts.passed++
      else if (status === 'failed') counts.failed++
      else counts.skipped++
    }
  }
  return counts
}

function main([reportFiles, ...failedSteps]) {
  const reports = reportFiles.split(',').map((file) => countTests(readFileSync(file, 'utf8')))
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map((name) =>
    reports.reduce((sum, counts) => sum + counts[name], 0),
  )
  if (failedSteps.length > 0) console.log(`\nFAILED: ${failedSteps.join(', ')}`)
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  if (failed > 0 || passed === 0 || failedSteps.length > 0) process.exitCode = 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main(process.argv.slice(2))
