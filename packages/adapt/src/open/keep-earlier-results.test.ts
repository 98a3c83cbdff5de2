import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { keepEarlierResults } from './keep-earlier-results.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'adapt-results-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const results = (task: string, acc: number, date = 1_800_000_000.25) => ({
  results: { [task]: { 'acc,none': acc } },
  configs: { [task]: { task, kept: undefined } },
  ...{ date, total_evaluation_time_seconds: String(date), adapt_version: '1' },
})
function write(json: object, ...tasks: readonly string[]): void {
  writeFileSync(join(folder, 'results.json'), JSON.stringify(json))
  for (const task of tasks) writeFileSync(join(folder, `samples_${task}.jsonl`), `of ${task}`)
}

it('leaves nothing of a folder without results, and the same results to be replaced', () => {
  expect(keepEarlierResults(folder, results('a', 1))).toBeUndefined()
  write(results('a', 1), 'a')
  expect(keepEarlierResults(folder, results('a', 1, 1_900_000_000))).toBeUndefined()
  expect(readdirSync(folder).sort()).toEqual(['results.json', 'samples_a.jsonl'])
})

it('keeps other results with their samples, each time under a name of its own', () => {
  write(results('a', 1), 'a')
  writeFileSync(join(folder, 'responses.jsonl'), '')
  const stamp = '2027-01-15T08-00-00.250'
  expect(keepEarlierResults(folder, results('b', 1))).toBe(`results_${stamp}.json`)
  write(results('b', 1), 'b')
  expect(keepEarlierResults(folder, results('b', 0.5))).toBe(`results_${stamp}-1.json`)
  expect(readdirSync(folder).sort()).toEqual([
    ...['responses.jsonl', `results_${stamp}-1.json`, `results_${stamp}.json`],
    ...[`samples_a_${stamp}.jsonl`, `samples_b_${stamp}-1.jsonl`],
  ])
  expect(JSON.parse(readFileSync(join(folder, `results_${stamp}.json`), 'utf8')).results).toEqual({
    a: { 'acc,none': 1 },
  })
})

it('keeps a file that is no JSON of results, too', () => {
  writeFileSync(join(folder, 'results.json'), 'mine')
  const kept = keepEarlierResults(folder, results('a', 1))
  expect(readFileSync(join(folder, kept!), 'utf8')).toBe('mine')
})
