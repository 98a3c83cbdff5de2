import { printable } from '../dataset/printable.js'
import type { TokenDataset } from '../tokenize/index.js'

/** Sources that a line names. */
const MAX_NAMED = 8

/** What of a dataset is told here. */
type Counted = Pick<TokenDataset, 'numSamples' | 'sources' | 'sourceIndex'>

/** One line on what is left of a pool: samples, and of which sources, those with most of them first. */
export function describeKept(kept: Counted, pool: Counted): string {
  const [left, whole] = [countsOf(kept), countsOf(pool)]
  const sources = pool.sources
    .map((name) => ({ name, left: left.get(name) ?? 0, whole: whole.get(name)! }))
    .sort((a, b) => b.left - a.left)
  const named = sources
    .slice(0, MAX_NAMED)
    .map((source) => `${printable(source.name, 40)} ${share(source.left, source.whole)}`)
  const more = sources.length > MAX_NAMED ? `, and ${sources.length - MAX_NAMED} sources more` : ''
  return `kept ${share(kept.numSamples, pool.numSamples)} samples: ${named.join(', ')}${more}`
}

function countsOf(data: Counted): Map<string, number> {
  const counts = new Map(data.sources.map((name) => [name, 0]))
  for (let i = 0; i < data.numSamples; i++) {
    const name = data.sources[data.sourceIndex(i)]!
    counts.set(name, counts.get(name)! + 1)
  }
  return counts
}

function share(part: number, whole: number): string {
  const text = (count: number) => count.toLocaleString('en')
  return `${text(part)} of ${text(whole)} (${((100 * part) / Math.max(1, whole)).toFixed(1)} %)`
}
