import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'

/** One thing that is wrong in a config. */
export interface ConfigIssue {
  /** `file:line:column`, or `--set key=value` for a key set on the command line. */
  readonly where: string
  /** Dotted key, e.g. `data.train.0.path`; empty for the whole file. */
  readonly path: string
  /** What was expected and what was received. */
  readonly message: string
}

/** One line: `file:line:col: key.path: expected ..., received ...`. */
export function renderIssue(issue: ConfigIssue): string {
  const parts = [issue.where, printable(issue.path, 200), printable(issue.message, 1000)]
  return parts.filter((part) => part !== '').join(': ')
}

/** Most issues that one error lists; a file that is no config at all would give thousands. */
export const MAX_LISTED_ISSUES = 100

/** The error that carries every issue, one per line, and the issues themselves in its context. */
export function invalidConfig(issues: readonly ConfigIssue[]): ConfigError {
  const ordered = [...issues].sort((a, b) => placeOrder(a) - placeOrder(b))
  const lines = ordered.slice(0, MAX_LISTED_ISSUES).map(renderIssue)
  if (ordered.length > lines.length) lines.push(`and ${ordered.length - lines.length} more problems`)
  return new ConfigError('INVALID_CONFIG', lines.join('\n'), { issues: ordered })
}

/** Issues of the file in reading order, then those of the command line. */
function placeOrder({ where }: ConfigIssue): number {
  const place = where.startsWith('--set') ? null : /:(\d+):(\d+)$/.exec(where)
  return place === null ? Number.MAX_SAFE_INTEGER : Number(place[1]) * 2 ** 21 + Number(place[2])
}

/** A problem between keys that are each valid on their own. */
export interface CrossFieldIssue {
  readonly path: readonly (string | number)[]
  readonly message: string
}
