#!/usr/bin/env node
// Shows the reliability promises on the real command. Node built-ins and the built library only.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { checks } from './checks/index.mjs'
import { projectDir, setJobs } from './support/child.mjs'
import { parseOptions, USAGE } from './support/options.mjs'
import { renderPage } from './support/page.mjs'

const seconds = (ms) => `${(ms / 1000).toFixed(0)} s`

async function runChecks({ mode, only, keep }) {
  const wanted = checks.filter(({ id }) => only === undefined || only.includes(id))
  const results = []
  for (const check of wanted) {
    const workDir = mkdtempSync(path.join(os.tmpdir(), `adapt-promise-${check.id}-`))
    const log = (line) => console.log(`    ${line}`)
    console.log(`promise ${check.id}: ${check.title}`)
    const started = performance.now()
    let result
    try {
      result = await check.run({ mode, log, workDir })
    } catch (error) {
      result = { count: 1, failures: [`the check broke: ${error.stack}`], figure: '' }
    }
    const ms = performance.now() - started
    results.push({ id: check.id, mode, ms, ...result })
    console.log(`  ${verdict(result)} in ${seconds(ms)}: ${result.skipped ?? result.figure}`)
    if (result.partly) console.log(`  not all: ${result.partly}`)
    for (const failure of result.failures.slice(0, 20)) console.log(`  FAILED ${failure}`)
    if (result.failures.length > 20) console.log(`  ... and ${result.failures.length - 20} more`)
    if (keep && result.failures.length > 0) console.log(`  kept ${workDir}`)
    else rmSync(workDir, { recursive: true, force: true })
  }
  return results
}

const verdict = ({ skipped, failures }) => (skipped ? 'skipped' : failures.length === 0 ? 'holds' : 'BROKEN')

/** What a run writes itself is no change of what it shows. */
const NOT_FIGURES = ['--', '.', ':!reliability/figures.json', ':!docs/reliability.md']

/** Commit and machine that a table belongs to. */
function describeBuild() {
  const git = (...args) => {
    try {
      return execFileSync('git', args, { cwd: projectDir, encoding: 'utf8' }).trim()
    } catch {
      return ''
    }
  }
  const [cpu] = os.cpus()
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${git('status', '--porcelain', '--untracked-files=no', ...NOT_FIGURES) && ' with changes'}`,
    machine: `${os.cpus().length} x ${cpu?.model ?? process.arch}, ${os.type()} ${os.release()}, Node ${process.version}`,
  }
}

/** What was measured so far: of each check the last full run, or the last sample where it never ran in full or is broken now. */
const figuresFile = new URL('figures.json', import.meta.url)

/** Puts results beside those that are kept. */
function keepFigures(build, results) {
  const kept = new Map(JSON.parse(readFileSync(figuresFile, 'utf8')).map((result) => [result.id, result]))
  for (const result of results.filter(({ skipped }) => !skipped)) {
    const isLess = result.mode === 'sample' && result.failures.length === 0
    if (!isLess || kept.get(result.id)?.mode !== 'full') kept.set(result.id, { ...result, ...build })
  }
  const all = checks.flatMap(({ id }) => kept.get(id) ?? [])
  writeFileSync(figuresFile, `${JSON.stringify(all, null, 2)}\n`)
  return all
}

const options = parseOptions(
  process.argv.slice(2),
  checks.map(({ id }) => id),
)
if (options.problem) {
  console.error(`error: ${options.problem}\n${USAGE}`)
  process.exit(2)
}
if (options.help) {
  console.log(USAGE)
  process.exit(0)
}
setJobs(options.jobs)
const started = performance.now()
const build = describeBuild()
const results = await runChecks(options)
const ms = performance.now() - started
if (options.page || (options.mode === 'full' && options.only === undefined)) {
  const page = path.join(projectDir, 'docs/reliability.md')
  writeFileSync(page, renderPage(keepFigures(build, results)))
  console.log(`wrote ${path.relative(process.cwd(), page)}`)
}
const count = (test) => results.filter(test).length
const numBroken = count(({ failures }) => failures.length > 0)
const cases = results.reduce((sum, result) => sum + result.count, 0)
console.log(
  `promises: ${count(({ skipped, failures }) => !skipped && failures.length === 0)} hold, ${numBroken} broken, ` +
    `${count(({ skipped }) => skipped)} skipped; ${cases} cases in ${seconds(ms)}`,
)
process.exitCode = numBroken > 0 || cases === 0 ? 1 : 0
