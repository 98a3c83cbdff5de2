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
export const ALONE: Ranks = {
  rank: 0,
  worldSize: 1,
  isFirst: true,
  fromFirst: async (work) => await work(),
  any: (flag) => flag,
  gatherText: (text) => [text],
}

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
    JSON.stringify(failure ? { failure: describe(failure.error) } : { value }),
  )
  if (failure) throw failure.error
  return texts.map((text, rank) => {
    const found = JSON.parse(text) as { value: T } | { failure: ReturnType<typeof describe> }
    if ('value' in found) return found.value
    const { code, exitCode, message } = found.failure
    throw new AdaptError(code, exitCode, `rank ${rank}: ${message}`)
  })
}

function describe(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return error instanceof AdaptError
    ? { code: error.code, exitCode: error.exitCode, message }
    : { code: 'INTERNAL', exitCode: EXIT.bug, message }
}
