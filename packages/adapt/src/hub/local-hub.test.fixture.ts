import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const COMMIT = 'c0ffee'.padEnd(40, '0')

/** A repository of the local hub. */
export interface LocalRepo {
  readonly files: Readonly<Record<string, string | Buffer>>
  /** 'gated' and 'private' want the token. */
  readonly access?: 'open' | 'gated' | 'private'
  readonly commit?: string
}

/** A hub on 127.0.0.1 with what a client asks of it to fetch a model, or a data set (`datasets/org/name`). */
export class LocalHub {
  readonly token = 'hf_local'
  /** Method, path and range of every request. */
  readonly requests: string[] = []
  /** Ends the connection after this many bytes of the named file, once. */
  cut: { readonly file: string; readonly after: number } | undefined
  /** Bytes that are served instead of the listed file. */
  readonly damaged = new Map<string, Buffer>()
  private server: Server | undefined

  constructor(readonly repos: Record<string, LocalRepo>) {}

  async start(): Promise<void> {
    this.server = createServer((request, response) => this.answer(request, response))
    await new Promise<void>((resolve) => this.server!.listen(0, '127.0.0.1', resolve))
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server!.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.server!.closeAllConnections()
    await new Promise((resolve) => this.server!.close(resolve))
  }

  /** Files of which bytes were asked for, each once. */
  get fetched(): string[] {
    return [
      ...new Set(this.requests.flatMap((line) => /\/resolve\/[^/]+\/(\S+)/.exec(line)?.[1] ?? [])),
    ].sort()
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, 'http://hub')
    this.requests.push(`${request.method} ${pathname} ${request.headers.range ?? ''}`.trim())
    const pattern =
      /^\/(?:api\/(?:models\/)?)?((?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/]+)(?:\/(.*))?$/
    const match = pattern.exec(pathname)
    const repo = match ? this.repos[match[1]!] : undefined
    const hasToken = request.headers.authorization === `Bearer ${this.token}`
    if (!match || !repo || (repo.access === 'private' && !hasToken)) {
      fail(response, 401, 'RepoNotFound', 'Invalid username or password.')
      return
    }
    if (repo.access === 'gated' && !hasToken) {
      fail(response, 403, 'GatedRepo', 'Access to model is restricted.')
      return
    }
    const [, name, kind, revision, file] = match
    const commit = repo.commit ?? COMMIT
    if (revision !== 'main' && revision !== commit) {
      fail(response, 404, 'RevisionNotFound', 'Invalid rev id')
    } else if (kind === 'revision') {
      json(response, { _id: '1', id: name, sha: commit })
    } else if (kind === 'tree') {
      json(response, Object.entries(repo.files).map(listed))
    } else {
      this.send(request, response, this.damaged.get(file!) ?? Buffer.from(repo.files[file!] ?? ''), file!)
    }
  }

  private send(request: IncomingMessage, response: ServerResponse, bytes: Buffer, file: string): void {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    const [start, end] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, bytes.length]
    response.writeHead(range ? 206 : 200, {
      etag: '"x"',
      'content-length': String(Math.min(end, bytes.length) - start),
      ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
    })
    const part = bytes.subarray(start, end)
    if (this.cut?.file === file && part.length > this.cut.after) {
      const { after } = this.cut
      this.cut = undefined
      response.write(part.subarray(0, after), () => setTimeout(() => response.destroy(), 50))
    } else response.end(part)
  }
}

/** Large files are stored by their SHA-256, as the hub does for all weights, the others by their Git hash. */
function listed([path, content]: [string, string | Buffer]) {
  const bytes = Buffer.from(content as string)
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
  const lfs = { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 130 }
  return { type: 'file', path, oid, size: bytes.length, ...(path.endsWith('.safetensors') ? { lfs } : {}) }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

function fail(response: ServerResponse, status: number, code: string, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-error-code': code })
  response.end(JSON.stringify({ error }))
}
