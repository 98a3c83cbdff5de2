import { checks } from '../checks/index.mjs'
import { GROUPS } from '../promises.mjs'

/**
 * The page of the figures that were kept.
 * @param {readonly (import('../checks/index.mjs').Result & { id: string, mode: 'sample' | 'full', date: string, commit: string, machine: string })[]} results
 */
export function renderPage(results) {
  const newest = results.reduce((last, one) => (last && last.date > one.date ? last : one), undefined)
  const ofCheck = new Map(checks.map((check) => [check.id, check]))
  const ofResult = new Map(results.map((result) => [result.id, result]))
  const numSampled = results.filter(({ mode, failures }) => mode === 'sample' && failures.length === 0).length
  const numShown = results.filter(({ skipped, failures }) => !skipped && failures.length === 0).length
  const all = GROUPS.flatMap(({ promises }) => promises)
  const byTests = all.filter(({ id, tests }) => tests && !ofCheck.has(id)).length
  const lines = [
    '# Reliability: what is promised, how it is shown, and the figures',
    '',
    '<!-- Written by `npm run promises`. Do not edit: change reliability/ and run it again. -->',
    '',
    ...(newest
      ? [
          `Figures are of ${newest.date} at commit \`${newest.commit}\`, on ${newest.machine}, where a row says no other day and commit.`,
        ]
      : []),
    '',
    `Of ${all.length} promises ${numShown} held when shown on the real command, ${numSampled} of them with a sample of the cases only (such`,
    `figures begin with "Sample"), ${byTests} more are covered by tests that \`npm test\` runs, and the others are not shown yet; the`,
    'table says why. `.ci/run` tries a sample of each check for every change. A digest is a SHA-256 over weights, optimiser moments, state of the method, cursor of the data, events without',
    'clocks, and every row of the ledger in order. The control is a run of a 2-layer model that was never interrupted.',
    '',
    'Not promised: equal bits across LibTorch versions, processors or thread counts; protection against the same user or root;',
    'durability on file systems that lie about fsync.',
    '',
  ]
  for (const { group, promises } of GROUPS) {
    lines.push(`## ${group}`, '', '| # | Promise | How it is shown | Figure |', '|---|---|---|---|')
    for (const promised of promises) {
      const row = rowOf(promised, ofCheck.get(promised.id), ofResult.get(promised.id), newest)
      lines.push(`| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    }
    lines.push('')
  }
  const broken = results.filter(({ failures }) => failures.length > 0)
  if (broken.length > 0) {
    lines.push('## What did not hold', '')
    for (const { id, failures } of broken) {
      for (const failure of failures.slice(0, 5))
        lines.push(`- ${id}: ${failure.replaceAll('\n', ' ').slice(0, 300)}`)
      if (failures.length > 5) lines.push(`- ${id}: and ${failures.length - 5} more`)
    }
    lines.push('')
  }
  return lines.join('\n')
}

function rowOf({ id, title, tests, open }, check, result, newest) {
  const files = tests?.map((file) => `\`${file.replace('packages/', '').replace('/src/', '/')}\``).join(', ')
  if (check === undefined && !files) return [id, title, '', `Not shown: ${open}.`]
  const how = [check?.tested, files && `Tests: ${files}`].filter(Boolean).join('. ')
  const rest = open ? ` Left open: ${open}.` : ''
  if (check === undefined) return [id, title, `${how}.`, `in \`npm test\`.${rest}`]
  if (result === undefined) return [id, title, `${how}.`, `not run.${rest}`]
  if (result.skipped) return [id, title, `${how}.`, `Skipped: ${result.skipped}.${rest}`]
  const verdict =
    result.failures.length === 0 ? '' : `**Broken (${result.failures.length} of ${result.count}).** `
  const partly = result.partly ? ` Not all: ${result.partly}.` : ''
  const sample = result.mode === 'sample' ? 'Sample: ' : ''
  const when = result.commit === newest.commit ? '' : ` (${result.date}, \`${result.commit}\`)`
  return [id, title, `${how}.`, `${verdict}${sample}${result.figure}${when}.${partly}${rest}`]
}
