import { existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { isObject } from '../dataset/index.js'
import { samplesFile } from '../tasks/index.js'

/** What differs between two runs of the same evaluation. */
const OF_THE_RUN = ['date', 'total_evaluation_time_seconds', 'adapt_version']

/**
 * Puts the results that lie in a folder out of the way of other ones: `results_<time>.json`, `samples_<task>_<time>.jsonl`, as
 * lm-evaluation-harness names its files. Results that are the same again are left to be replaced.
 * @returns The new name of `results.json`, where there was one that is kept.
 */
export function keepEarlierResults(
  folder: string,
  json: Readonly<Record<string, unknown>>,
): string | undefined {
  const path = join(folder, 'results.json')
  if (!existsSync(path)) return undefined
  const earlier = readResults(path)
  if (earlier !== undefined && isDeepStrictEqual(comparable(earlier), comparable(json))) return undefined
  const { configs, date } = earlier ?? {}
  const time = typeof date === 'number' ? date * 1000 : statSync(path).mtimeMs
  const stamp = new Date(time).toISOString().replace('Z', '').replaceAll(':', '-')
  const tag = freeTag(folder, stamp)
  // The results last: after a kill in between, the next evaluation goes on with the rest.
  for (const task of Object.keys(isObject(configs) ? configs : {})) {
    const samples = samplesFile(task)
    const kept = samples.replace(/\.jsonl$/, `_${tag}.jsonl`)
    if (existsSync(join(folder, samples))) renameSync(join(folder, samples), join(folder, kept))
  }
  renameSync(path, join(folder, `results_${tag}.json`))
  return `results_${tag}.json`
}

function freeTag(folder: string, stamp: string): string {
  let tag = stamp
  for (let n = 1; existsSync(join(folder, `results_${tag}.json`)); n++) tag = `${stamp}-${n}`
  return tag
}

function readResults(path: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isObject(found) ? found : undefined
  } catch {
    return undefined
  }
}

/** As JSON has it, without what the time of the run decides. */
function comparable(json: Readonly<Record<string, unknown>>): unknown {
  const kept = Object.entries(json).filter(([key]) => !OF_THE_RUN.includes(key))
  return JSON.parse(JSON.stringify(Object.fromEntries(kept)))
}
