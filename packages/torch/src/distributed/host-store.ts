import { rethrow } from '../errors.js'
import { engine } from '../native.js'

/** A store that this process hosts for others on this machine: disposing closes it. */
export interface HostedStore extends Disposable {
  /** That the system chose: nobody else can have it. */
  readonly port: number
}

const OPEN_MS = 10_000

/**
 * The store of torch.distributed for a launcher, as torchrun's agent hosts it: it outlives the ranks and their restarts. They find it by
 * MASTER_ADDR, MASTER_PORT and TORCHELASTIC_USE_AGENT_STORE=True.
 */
export function hostStore(): HostedStore {
  const { native } = engine()
  try {
    const id = native.storeOpen('127.0.0.1', 0, true, OPEN_MS)
    return { port: native.storePort(id), [Symbol.dispose]: () => native.storeClose(id) }
  } catch (error) {
    return rethrow(error, 'the store of a job')
  }
}
