import type { Ranks } from './ranks.js'

/** Ranks of one process, which meet in its event loop. */
export function ranksOfOneProcess(worldSize: number): Ranks[] {
  const meetings: { readonly told: PromiseWithResolver; readonly arrived: boolean[] }[] = []
  return Array.from({ length: worldSize }, (_, rank) => {
    let next = 0
    const meet = async (value: unknown): Promise<unknown[]> => {
      const number = next++
      meetings[number] ??= { told: promiseWithResolver(), arrived: [] }
      const { told, arrived } = meetings[number]
      told.values[rank] = value
      arrived[rank] = true
      if (arrived.filter(Boolean).length === worldSize) told.resolve()
      await told.promise
      return told.values
    }
    return {
      ...{ rank, worldSize, isFirst: rank === 0 },
      fromFirst: async <T>(work: () => T | Promise<T>) =>
        (await meet(rank === 0 ? await work() : undefined))[0] as T,
      any: async (flag) => (await meet(flag)).includes(true),
      gatherText: async (text) => (await meet(text)) as string[],
    }
  })
}

interface PromiseWithResolver {
  readonly promise: Promise<void>
  readonly values: unknown[]
  resolve(): void
}

function promiseWithResolver(): PromiseWithResolver {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, values: [], resolve }
}
