import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import type { TaskResponse } from './metrics.js'

/** What a response is a function of. */
export interface ResponseKey {
  /** Of the model and its precision. */
  readonly model: string
  readonly kind: string
  /** Tokens that the model reads, and what is asked of them. */
  readonly tokens: ArrayLike<number>
  readonly more?: unknown
}

/** SHA-256 (hex). */
export function responseKey({ model, kind, tokens, more }: ResponseKey): string {
  return createHash('sha256')
    .update(JSON.stringify([model, kind, more ?? null]))
    .update(Int32Array.from(tokens))
    .digest('hex')
}

/**
 * Responses that a model gave, one line each, as they come: what an interrupted evaluation asked is not asked again. A last line that a kill cut
 * off is asked again.
 */
export class ResponseStore<Response = TaskResponse> {
  private readonly known = new Map<string, Response>()

  /** @param path  File of lines; without one responses live as long as the store. */
  constructor(private readonly path?: string) {
    if (path === undefined) return
    makeFolder(dirname(path))
    if (!existsSync(path)) return
    const text = readFileSync(path, 'utf8')
    for (const line of text.split('\n')) {
      const found = parseLine<Response>(line)
      if (found !== undefined) this.known.set(found[0], found[1])
    }
    if (text !== '' && !text.endsWith('\n')) appendFileSync(path, '\n')
  }

  /** What was answered already. */
  get(key: string): Response | undefined {
    return this.known.get(key)
  }

  /** Keeps what is new, and writes it at once. */
  add(entries: Iterable<readonly [key: string, response: Response]>): void {
    const lines: string[] = []
    for (const [key, response] of entries) {
      if (this.known.has(key)) continue
      this.known.set(key, response)
      lines.push(`${JSON.stringify([key, response])}\n`)
    }
    if (this.path !== undefined && lines.length > 0) appendFileSync(this.path, lines.join(''))
  }
}

function parseLine<Response>(line: string): [string, Response] | undefined {
  if (!line.endsWith(']')) return undefined
  try {
    const found: unknown = JSON.parse(line)
    return Array.isArray(found) && found.length === 2 ? (found as [string, Response]) : undefined
  } catch {
    return undefined
  }
}
