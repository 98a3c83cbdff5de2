#!/usr/bin/env node
// Runs compiled tests where vitest was not carried, a process for each file: run-tests.mjs [--jobs N] FILE|FOLDER...
// The last line is one JSON object; ends with 1 when a test failed or a file could not be read.
import { fork } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  options: { jobs: { type: 'string', default: '1' } },
  allowPositionals: true,
})
const child = fileURLToPath(new URL('./run-test-file.mjs', import.meta.url))

function filesOf(name) {
  if (!statSync(name).isDirectory()) return [path.resolve(name)]
  const names = readdirSync(name, { recursive: true }).filter((file) => file.endsWith('.test.js'))
  return names.map((file) => path.resolve(name, file)).sort()
}

/** The outcomes of one file; a process that ends without an answer is one failed test. */
function runFile(file) {
  return new Promise((resolve) => {
    const output = []
    const process_ = fork(child, [file], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { HF_HUB_OFFLINE: '1', HF_HOME: '/nonexistent/huggingface', ...process.env },
    })
    let outcomes
    for (const stream of [process_.stdout, process_.stderr]) stream.on('data', (chunk) => output.push(chunk))
    process_.on('message', (message) => {
      outcomes = message
    })
    process_.on('close', (code, signal) => {
      const last = Buffer.concat(output).toString('utf8').trimEnd().split('\n').slice(-8).join('\n')
      const message = `ended by ${signal ?? `exit code ${code}`}: ${last}`
      resolve(outcomes ?? [{ name: 'the file', state: 'failed', message }])
    })
  })
}

const files = positionals.flatMap(filesOf)
const counts = { passed: 0, failed: 0, skipped: 0 }
const failures = []
let next = 0
async function work() {
  while (next < files.length) {
    const file = files[next++]
    const name = path.relative(process.cwd(), file)
    const start = performance.now()
    const outcomes = await runFile(file)
    for (const { state } of outcomes) counts[state]++
    const failed = outcomes.filter(({ state }) => state === 'failed')
    for (const failure of failed) failures.push({ file: name, test: failure.name, message: failure.message })
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    console.log(`${failed.length > 0 ? 'FAILED' : 'passed'} ${name}: ${outcomes.length} tests, ${seconds} s`)
    for (const { name: test, message } of failed)
      console.log(`  ${test}\n    ${message.replaceAll('\n', '\n    ')}`)
  }
}
function conclude(unfinished) {
  const rest = unfinished ? { unfinished: true } : {}
  console.log(JSON.stringify({ files: files.length, ...counts, ...rest, failures: failures.slice(0, 60) }))
  if (unfinished || counts.failed > 0 || files.length === 0) process.exitCode = 1
}
// A limit of time ends it: what was found so far counts.
process.once('SIGTERM', () => {
  conclude(true)
  process.exit()
})
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work))
conclude(false)
