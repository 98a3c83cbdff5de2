import { engine } from '../native.js'
import { PeerError } from './peer-error.js'

/** An answer of the store takes less, unless its host is stopped. */
const ANSWER_MS = 5_000

/** The keys that ranks of one job share, in the store of torch.distributed that rank 0 or the launcher hosts. */
export class JobStore {
  private readonly id: number
  private readonly prefix: string
  /** "host:port", for messages. */
  readonly address: string
  /** Undefined: the launcher. */
  readonly hostRank: number | undefined

  constructor(id: number, prefix: string, address: string, hostRank: number | undefined) {
    this.id = id
    this.prefix = prefix
    this.address = address
    this.hostRank = hostRank
  }

  /** @throws {PeerError} STORE_LOST, as all methods. */
  get(key: string, limitMs = ANSWER_MS): string | undefined {
    return this.ask(() => engine().native.storeGet(this.id, this.prefix + key, limitMs))
  }

  set(key: string, text: string, limitMs = ANSWER_MS): void {
    this.ask(() => engine().native.storeSet(this.id, this.prefix + key, text, limitMs))
  }

  /** Adds to a number that begins at 0; returns the sum. Such a key cannot be read by `get`. */
  add(key: string, value: number, limitMs = ANSWER_MS): number {
    return this.ask(() => engine().native.storeAdd(this.id, this.prefix + key, value, limitMs))
  }

  /** The store under a further prefix, for a group of the engine; freed by `closeStore`. */
  openPrefix(name: string): number {
    return engine().native.storePrefix(this.id, this.prefix + name)
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
