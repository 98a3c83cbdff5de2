/** How the rows of one optimiser step are shared out. */
export interface GlobalBatchShape {
  /** Rows of one micro-batch. */
  readonly perDevice: number
  /** Micro-batches of one step on each rank. */
  readonly accumulation: number
  readonly worldSize: number
  readonly rank: number
}

/**
 * The micro-batches of one rank: micro-batch a of rank r is the slice of `perDevice` rows that starts at row
 * (a * worldSize + r) * perDevice. Always `accumulation` of them; when the step is short, the last ones are
 * short or empty, so that all ranks make the same number of passes.
 *
 * @throws {RangeError} for a shape that is no shape, or more rows than it holds.
 */
export function splitGlobalBatch<R>(rows: readonly R[], shape: GlobalBatchShape): R[][] {
  const { perDevice, accumulation, worldSize, rank } = shape
  const isShape =
    [perDevice, accumulation, worldSize].every((n) => Number.isSafeInteger(n) && n >= 1) &&
    Number.isSafeInteger(rank) &&
    rank >= 0 &&
    rank < worldSize
  const capacity = perDevice * accumulation * worldSize
  if (!isShape || rows.length > capacity) {
    throw new RangeError(`global batch of ${rows.length} rows: does not fit ${JSON.stringify(shape)}`)
  }
  return Array.from({ length: accumulation }, (_, a) => {
    const start = (a * worldSize + rank) * perDevice
    return rows.slice(start, start + perDevice)
  })
}
