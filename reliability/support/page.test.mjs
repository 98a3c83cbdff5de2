import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { checks } from '../checks/index.mjs'
import { GROUPS } from '../promises.mjs'
import { projectDir } from './child.mjs'
import { parseOptions } from './options.mjs'
import { renderPage } from './page.mjs'
import { quantile, spread } from './random.mjs'

const all = GROUPS.flatMap(({ promises }) => promises)

describe('the list of promises', () => {
  it('has every number once, a check or tests or a reason for each, and no check without a place in it', () => {
    expect(all.map(({ id }) => id)).toEqual(Array.from({ length: 60 }, (_, i) => String(i + 1)))
    const checked = new Set(checks.map(({ id }) => id))
    expect(checked.size).toBe(checks.length)
    for (const id of checked) expect(all.map((one) => one.id)).toContain(id)
    for (const { id, tests, open } of all)
      expect([id, checked.has(id) || tests || open]).toEqual([id, expect.anything()])
  })

  it('names only test files that exist', () => {
    for (const file of all.flatMap(({ tests }) => tests ?? [])) {
      expect([file, existsSync(path.join(projectDir, file))]).toEqual([file, true])
    }
  })
})

describe('renderPage', () => {
  const build = { date: '2026-01-02', commit: 'abc', machine: '2 x cpu' }
  const result = { ...build, id: '1', mode: 'full', count: 3, failures: [], figure: '3 runs | one digest' }

  it('shows the figure of what was run, why something was not, and what did not hold', () => {
    const page = renderPage([
      result,
      { ...result, id: '2', mode: 'sample', date: '2026-01-01', commit: 'abb' },
      { ...result, id: '3', figure: '', skipped: 'needs strace' },
      { ...result, id: '6', failures: ['a.bin: was\nread'] },
    ])
    expect(page).toContain('Figures are of 2026-01-02 at commit `abc`, on 2 x cpu,')
    expect(page).toMatch(/^\| 1 \| .* \| 3 runs \\\| one digest\. \|$/m)
    expect(page).toMatch(/^\| 2 \| .* \| Sample: 3 runs \\\| one digest \(2026-01-01, `abb`\)\. \|$/m)
    expect(page).toMatch(/^\| 3 \| .*Skipped: needs strace\./m)
    expect(page).toMatch(/^\| 6 \| .*\*\*Broken \(1 of 3\)\.\*\*/m)
    expect(page).toContain('- 6: a.bin: was read')
    expect(page).toMatch(/^\| 52 \| .* \| {2}\| Not shown: /m)
    expect(page).toContain('60 promises 2 held')
  })

  it('never shows a promise as held whose check did not run', () => {
    expect(renderPage([])).toMatch(/^\| 2 \| .*\| not run\. \|$/m)
  })
})

describe('parseOptions', () => {
  it('reads modes and lists, and refuses what it does not know', () => {
    expect(parseOptions(['--sample', '--only=1,2', '--page'], ['1', '2'])).toMatchObject({
      mode: 'sample',
      only: ['1', '2'],
      page: true,
      problem: undefined,
    })
    expect(parseOptions(['--only', '9'], ['1']).problem).toMatch("no check for promise '9'")
    expect(parseOptions(['--fast'], ['1']).problem).toBe("unknown option '--fast'")
  })
})

describe('spread', () => {
  it('takes the first, the last and places between', () => {
    expect(spread([0, 1, 2, 3, 4, 5, 6, 7, 8], 3)).toEqual([0, 4, 8])
    expect(spread([1, 2], 5)).toEqual([1, 2])
  })
})

describe('quantile', () => {
  it('is a value of the list', () => {
    expect([0.5, 1, 0].map((share) => quantile([3, 1, 2], share))).toEqual([2, 3, 1])
  })
})
