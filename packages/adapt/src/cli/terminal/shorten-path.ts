import { relative } from 'node:path'
import { printable } from '../../dataset/printable.js'

/** The path as a user in the working directory would type it. */
export function shortenPath(path: string): string {
  const near = relative(process.cwd(), path)
  return printable(near === '' || near.startsWith('..') ? path : near, Number.POSITIVE_INFINITY)
}
