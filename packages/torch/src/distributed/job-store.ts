import { engine } from '../native.js'
import { PeerError } from './peer-error.js'

/** The keys that ranks of one job share, in the store of torch.distributed that rank 0 or the launcher hosts. */
export class JobStore {
  private readonly id: number
  private readonly prefix: string
  /** "host:port", for messages. */
  readonly address: string
  /** Undefined: the launcher. */
  readonly hostRank: number | undefined
  /** Longest that an answer may take: a link that is away for a while ends nothing that the ranks' own timeout does not. */
  private readonly answerMs: number

  constructor(
    id: number,
    {
      prefix,
      address,
      hostRank,
      answerMs,
    }: Pick<JobStore, 'address' | 'hostRank'> & { readonly prefix: string; readonly answerMs: number },
  ) {
    this.id = id
    this.prefix = prefix
    this.address = address
    this.hostRank = hostRank
    this.answerMs = answerMs
  }

  /** @throws {PeerError} STORE_LOST, as all methods. */
  get(key: string, limitMs = this.answerMs): string | undefined {
    return this.ask(() => engine().native.storeGet(this.id, this.prefix + key, limitMs))
  }

  set(key: string, text: string, limitMs = this.answerMs): void {
    this.ask(() => engine().native.storeSet(this.id, this.prefix + key, text, limitMs))
  }

  /** Adds to a number that begins at 0; returns the sum. Such a key cannot be read by `get`. */
  add(key: string, value: number, limitMs = this.answerMs): number {
    return this.ask(() => engine().native.storeAdd(this.id, this.prefix + key, value, limitMs))
  }

  /** The store under a further prefix, for a group of the engine; freed by `closeStore`. */
  openPrefix(name: string): number {
    return engine().native.storePrefix(this.id, this.prefix + name)
  }

  /** The same on a connection of its own: what waits for a key holds its connection. */
  openPrefixApart(name: string): number {
    const { native } = engine()
    const at = this.address.lastIndexOf(':')
    const [host, port] = [this.address.slice(0, at), Number(this.address.slice(at + 1))]
    const apart = native.storeOpen(host, port, false, this.answerMs)
    try {
      return native.storePrefix(apart, this.prefix + name)
    } finally {
      native.storeClose(apart)
    }
  }

  close(): void {
    engine().native.storeClose(this.id)
  }

  private ask<T>(question: () => T): T {
    try {
      return question()
    } catch (error) {
      throw new PeerError(
        'STORE_LOST',
        `the store at ${this.address} is gone or does not answer`,
        this.hostRank,
        {
          cause: error,
        },
      )
    }
  }
}
