import { TorchError } from '../errors.js'

/**
 * Another rank of the job failed, hangs or does something else; `rank` where one is to blame.
 *
 * | code | meaning |
 * |---|---|
 * | `PEER_FAILED` | it ended, or failed by an error of its own, which the message repeats |
 * | `PEER_TIMEOUT` | it did not answer for the timeout of the group |
 * | `PEER_MISMATCH` | it called another collective, or the same with another size or dtype |
 * | `STORE_LOST` | the host of the store is gone, or does not answer |
 * | `JOIN_FAILED` | the ranks did not find each other |
 */
export class PeerError extends TorchError {
  readonly rank: number | undefined
  /** Of the error that the rank failed by, where it had one of its own. */
  readonly ownCode: string | undefined

  constructor(
    code: string,
    message: string,
    rank?: number,
    options?: ErrorOptions & { readonly ownCode?: string },
  ) {
    super(code, message, rank === undefined ? {} : { rank }, options)
    this.name = 'PeerError'
    this.rank = rank
    this.ownCode = options?.ownCode
  }
}

/** "rank 1", "ranks 0, 2 and 3". */
export function nameRanks(ranks: readonly number[]): string {
  if (ranks.length === 1) return `rank ${ranks[0]}`
  return `ranks ${ranks.slice(0, -1).join(', ')} and ${ranks.at(-1)}`
}
