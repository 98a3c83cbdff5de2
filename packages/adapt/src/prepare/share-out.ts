import type { Ranks } from '../ranks.js'
import type { Chunk, ChunkStore } from './chunk-store.js'

interface SharedWork {
  readonly ranks: Ranks
  readonly compute: (i: number) => Promise<Chunk>
  /** Told how many are done of all, and which of them was just done here. */
  readonly onDone: (done: number, own: number | undefined) => void
  readonly checkStop: () => void
}

/** Pieces of work in their order. Each rank computes its part of what is not stored, and reads all. */
export async function* shareOut(
  store: ChunkStore,
  count: number,
  { ranks, compute, onDone, checkStop }: SharedWork,
): AsyncGenerator<Chunk> {
  const { rank, worldSize } = ranks
  const missing = await ranks.fromFirst(() => store.missing(count))
  const numStored = count - missing.length
  onDone(numStored, undefined)
  for (let place = rank; place < missing.length; place += worldSize) {
    checkStop()
    const i = missing[place]!
    await store.take(i, () => compute(i))
    onDone(numStored + Math.min(missing.length, place - rank + worldSize), i)
  }
  // All are there.
  await ranks.fromFirst(() => {})
  for (let i = 0; i < count; i++) yield await store.take(i, () => compute(i))
}
