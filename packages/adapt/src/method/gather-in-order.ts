import {
  type Collective,
  cat,
  type Device,
  type DType,
  narrow,
  reshape,
  type Tensor,
  tensor,
  zeros,
} from '@adapt-ts/torch'

/** Rows of one micro-batch of one rank. */
export interface GatheredRows {
  readonly rank: number
  /** Of the micro-batch on its rank. */
  readonly index: number
  /** [N, width] */
  readonly rows: Tensor
}

/**
 * Rows of all micro-batches of all ranks in global order: every rank's first micro-batch, then every rank's second.
 * Ranks may have different numbers of them, as after a short step. Belongs to the current scope, where it is not a part itself.
 * @param parts This rank's micro-batches, [N, ...] with one width for all.
 * @param options.device  Of all parts: a rank without any must put what it receives where the others have theirs.
 * @param options.dtype  Of all parts. Default float32.
 */
export function gatherInOrder(
  parts: readonly Tensor[],
  collective: Collective,
  { device, dtype = 'float32' }: { readonly device: Device; readonly dtype?: DType },
): GatheredRows[] {
  if (collective.worldSize === 1)
    return parts.map((part, index) => {
      const [count, ...rest] = part.shape as [number, ...number[]]
      const width = rest.reduce((a, b) => a * b, 1)
      return { rank: 0, index, rows: rest.length === 1 ? part : reshape(part, [count, width]) }
    })
  const numRows = collective
    .allGather(
      tensor(
        Float64Array.from(parts, (part) => part.shape[0]!),
        [parts.length],
      ),
    )
    .map((counts) => [...counts.toFloat64Array()])
  const mine =
    parts.length > 0 ? cat(parts.map((part) => reshape(part, [part.numel]))) : zeros([0], { dtype, device })
  // Flat, because a rank without rows does not know their width.
  const flat = collective.allGather(mine)
  const total = numRows.flat().reduce((sum, count) => sum + count, 0)
  const width = flat.reduce((sum, values) => sum + values.numel, 0) / Math.max(1, total)
  const gathered = flat.flatMap((values, rank) => {
    let start = 0
    return numRows[rank]!.map((count, index): GatheredRows => {
      const rows = reshape(narrow(values, 0, start, count * width), [count, width])
      start += count * width
      return { rank, index, rows }
    })
  })
  return gathered.sort((a, b) => a.index - b.index || a.rank - b.rank)
}
