import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

/**
 * Absolute paths of the regular files that a pattern matches, sorted by code unit. `*` matches within a
 * name, `?` one character, a segment `**` any number of folders. Wildcards do not match a leading dot, and
 * `**` does not enter symbolic links (they may form loops). A pattern that is the exact path of a file
 * means that file, whatever characters it holds.
 */
export async function expandGlob(pattern: string, baseDir: string): Promise<string[]> {
  const exact = path.resolve(baseDir, pattern)
  if (await isFile(exact)) {
    return [exact]
  }
  const segments = pattern.split('/').filter((s) => s !== '' && s !== '.')
  const found = new Set<string>()
  await walk(pattern.startsWith('/') ? '/' : path.resolve(baseDir), segments, found)
  return [...found].sort(compareText)
}

/**
 * Absolute paths of all regular files in a folder and the folders in it, sorted by code unit; undefined when it is no
 * folder. Names with a leading dot are passed over, and symbolic links to folders are not entered.
 */
export async function listFolder(folder: string): Promise<string[] | undefined> {
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    (error) => {
      if (isAbsent(error)) return false
      throw error
    },
  )
  if (!isFolder) return undefined
  const found = new Set<string>()
  await walk(folder, ['**', '*'], found)
  return [...found].sort(compareText)
}

/** Compares by UTF-16 code unit: the same order on every machine and locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Whether `name` matches one segment of a glob (`*` and `?`). Linear in practice: only the last `*` is retried. */
export function matchSegment(pattern: string, name: string): boolean {
  const want = [...pattern]
  const have = [...name]
  if (have[0] === '.' && want[0] !== '.') {
    return false
  }
  let w = 0
  let h = 0
  let star = -1
  let starAt = 0
  while (h < have.length) {
    if (want[w] === '*') {
      star = w++
      starAt = h
    } else if (w < want.length && (want[w] === '?' || want[w] === have[h])) {
      w++
      h++
    } else if (star >= 0) {
      w = star + 1
      h = ++starAt
    } else {
      return false
    }
  }
  while (want[w] === '*') {
    w++
  }
  return w === want.length
}

async function walk(folder: string, segments: readonly string[], found: Set<string>): Promise<void> {
  const [head, ...rest] = segments
  if (head === undefined) {
    return
  }
  if (head === '**') {
    await walk(folder, rest.length === 0 ? ['*'] : rest, found)
    for (const entry of await list(folder)) {
      if (entry.isDirectory() && !entry.name.startsWith('.')) {
        await walk(path.join(folder, entry.name), segments, found)
      }
    }
    return
  }
  const names = /[*?]/.test(head)
    ? (await list(folder)).map((e) => e.name).filter((n) => matchSegment(head, n))
    : [head]
  for (const name of names) {
    const next = path.join(folder, name)
    if (rest.length > 0) {
      await walk(next, rest, found)
    } else if (await isFile(next)) {
      found.add(next)
    }
  }
}

async function list(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isAbsent(error)) {
      return []
    }
    throw error
  }
}

async function isFile(target: string): Promise<boolean> {
  try {
    return (await stat(target)).isFile()
  } catch (error) {
    if (isAbsent(error)) {
      return false
    }
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}
