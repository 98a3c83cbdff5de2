import { createHash } from 'node:crypto'
import { buildInfo } from '@adapt-ts/torch'
import { AdaptError, EXIT } from '../errors.js'
import type { CausalLM } from '../model/index.js'
import type { World } from './world.js'

/** What must be the same on every rank before a step is made together, by name. */
export type RankFacts = Readonly<Record<string, string | number>>

/**
 * Compares what the ranks are about to do.
 * @throws {AdaptError} RANKS_DIFFER (exit 2), on every rank, with what differs on which.
 */
export function requireSameRanks(world: World, facts: RankFacts): void {
  if (world.worldSize === 1) return
  const own: RankFacts = { ...facts, libtorch: buildInfo().libtorchVersion }
  const all = world.gatherText(JSON.stringify(own)).map((text) => JSON.parse(text) as RankFacts)
  const [first] = all as [RankFacts]
  const lines = all.flatMap((of, rank) =>
    [...new Set([...Object.keys(first), ...Object.keys(of)])]
      .filter((key) => first[key] !== of[key])
      .map((key) => `  rank ${rank}: ${describeDifference(key, first[key], of[key])}`),
  )
  if (lines.length === 0) return
  throw new AdaptError(
    'RANKS_DIFFER',
    EXIT.config,
    `ranks: expected the same on all of them, found\n${lines.join('\n')}`,
    { lines },
  )
}

/** Of long texts, such as a config, the first line that differs and the keys that it lies within. */
function describeDifference(key: string, first: unknown, other: unknown): string {
  const [a, b] = [String(first ?? '(none)').split('\n'), String(other ?? '(none)').split('\n')]
  const at = a.findIndex((line, i) => line !== b[i])
  const place = Math.max(0, at)
  const path = [key, ...keysAround(b[place] === undefined ? a : b, place)].join(': ')
  return `${path}: ${(b[place] ?? '(nothing)').trim()}, on rank 0 ${(a[place] ?? '(nothing)').trim()}`
}

/** Names of the lines that a line of YAML is indented under, the outermost first. */
function keysAround(lines: readonly string[], place: number): string[] {
  const indentOf = (line = '') => line.length - line.trimStart().length
  const keys: string[] = []
  let indent = indentOf(lines[place])
  for (let i = place - 1; i >= 0 && indent > 0; i--) {
    const line = lines[i]!
    if (indentOf(line) >= indent) continue
    indent = indentOf(line)
    keys.unshift(line.trim().replace(/:.*$/s, ''))
  }
  return keys
}

/** The parameters of a model by name, shape and dtype. */
export function describeModel(model: CausalLM): RankFacts {
  const hash = createHash('sha256')
  for (const [name, parameter] of model.namedParameters()) {
    hash.update(`${name} ${parameter.shape.join('x')} ${parameter.dtype}\n`)
  }
  return { parameters: hash.digest('hex') }
}
