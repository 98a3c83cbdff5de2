import { AdaptError, EXIT } from './errors.js'

/** Processes that do something together: all of them call the same of these in the same order. */
export interface Ranks {
  readonly rank: number
  readonly worldSize: number
  /** Whether this is rank 0, which writes what there is once. */
  readonly isFirst: boolean
  /** What `work` gives on rank 0, as plain data, on every rank; none goes on before all are there. */
  fromFirst<T>(work: () => T | Promise<T>): Promise<T>
  /** Whether a rank says so. */
  any(flag: boolean): boolean | Promise<boolean>
  /** Every rank's text, in rank order. */
  gatherText(text: string): string[] | Promise<string[]>
}

/** A process by itself. */
export const ALONE = {
  rank: 0,
  worldSize: 1,
  isFirst: true,
  fromFirst: async <T>(work: () => T | Promise<T>): Promise<T> => await work(),
  any: (flag: boolean): boolean => flag,
  gatherText: (text: string): string[] => [text],
} satisfies Ranks

/**
 * What the work of each rank gives, as plain data in rank order, on all of them; however long one of them works.
 * @throws what went wrong with the work of a rank, on all of them.
 */
export async function fromEach<T>(ranks: Ranks, work: () => Promise<T>): Promise<T[]> {
  if (ranks.worldSize === 1) return [await work()]
  let failure: { readonly error: unknown } | undefined
  let value: T | undefined
  try {
    value = await work()
  } catch (error) {
    failure = { error }
  }
  await ranks.fromFirst(() => {})
  const texts = await ranks.gatherText(
    JSON.stringify(failure ? { failure: describeError(failure.error) } : { value }),
  )
  if (failure) throw toldToAll(failure.error)
  return texts.map((text, rank) => {
    const found = JSON.parse(text) as { value: T } | { failure: ReturnType<typeof describeError> }
    if ('value' in found) return found.value
    const { code, exitCode, message } = found.failure
    throw toldToAll(new AdaptError(code, exitCode, `rank ${rank}: ${message}`))
  })
}

/** Errors that all ranks know of. */
const told = new WeakSet<object>()

/** Whether the other ranks ended what they did together because of this error, or it is of another's. */
export const isToldToAll = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && told.has(error)

function toldToAll(error: unknown): unknown {
  if (typeof error === 'object' && error !== null) told.add(error)
  return error
}

/** Work that ranks do in rounds, which rank 0 ends. */
interface Rounds<T> {
  readonly numRounds: number
  /** One round's part of this rank. */
  readonly work: (round: number) => Promise<T>
  /** What all of a round gave. It may fail on rank 0, which hands it on. */
  readonly tell: (parts: readonly T[]) => void
  /** Asked on rank 0 before a round: an error ends all of it. */
  readonly stopped: () => Error | undefined
}

/**
 * Rounds of work, each begun by all ranks together.
 * @throws on all ranks what went wrong with the work of one, or ended it between two rounds on rank 0; after the last round `tell` fails on its rank alone.
 */
export async function inRounds<T>(
  ranks: Ranks,
  { numRounds, work, tell, stopped }: Rounds<T>,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined
  for (let round = 0; round < numRounds; round++) {
    const isOver = await ranks.fromFirst(() => {
      const stop = failure === undefined ? stopped() : undefined
      if (stop !== undefined) failure = { error: stop }
      return failure !== undefined
    })
    if (isOver)
      throw toldToAll(
        failure ? failure.error : new AdaptError('ENDED_BY_FIRST', EXIT.bug, 'rank 0 ended it; it says why'),
      )
    const parts = await fromEach(ranks, () => work(round))
    try {
      tell(parts)
    } catch (error) {
      failure = { error }
    }
  }
  if (failure) throw failure.error
}

/** An error as plain data. */
export function describeError(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return error instanceof AdaptError
    ? { code: error.code, exitCode: error.exitCode, message }
    : { code: 'INTERNAL', exitCode: EXIT.bug, message }
}
