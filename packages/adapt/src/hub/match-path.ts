import { matchSegment } from '../dataset/index.js'

/** Whether a path matches a pattern: `*` and `?` within a name, a segment `**` for any number of folders. */
export function matchPath(pattern: string, path: string): boolean {
  return match(pattern.split('/'), path.split('/'))
}

function match(pattern: readonly string[], path: readonly string[]): boolean {
  const [head, ...rest] = pattern
  if (head === undefined) return path.length === 0
  if (head === '**') {
    const behind = rest.length === 0 ? ['*'] : rest
    for (let from = 0; from < path.length; from++) if (match(behind, path.slice(from))) return true
    return false
  }
  return path.length > 0 && matchSegment(head, path[0]!) && match(rest, path.slice(1))
}
