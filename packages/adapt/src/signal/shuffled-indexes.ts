import { createStream } from '../batch/index.js'

/** Tells the order of recent samples apart from other numbers that are drawn. */
const STREAM = 41

/** In an order of their own: where a step is cut off must not depend on how its rows are laid out, nor on how the data is sorted. */
export function shuffledIndexes(indexes: ArrayLike<number>): number[] {
  const keyed = Array.from(indexes, (index) => ({ index, key: createStream([index, STREAM])() }))
  return keyed.sort((a, b) => a.key - b.key || a.index - b.index).map(({ index }) => index)
}
