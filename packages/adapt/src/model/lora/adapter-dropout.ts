/** B rows, T positions, D width. */
import { bernoulli_, Generator, mul, mul_, narrow, scope, select, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../../batch/index.js'

/** One generator per device, seeded anew for every sample: what it holds means nothing between two uses. */
const generators = new Map<string, Generator>()

interface Segment {
  readonly row: number
  readonly start: number
  readonly length: number
  /** Index of the sample in the dataset. */
  readonly sample: number
}

/**
 * Dropout whose choices depend on (seed of the step, sample, module) alone: not on the row a sample stands in, its
 * neighbours, micro-batches or ranks. A recomputed forward drops the same inputs.
 */
export class AdapterDropout {
  private segments: readonly Segment[] | undefined

  constructor(
    private readonly batch: Batch,
    private readonly seed: number,
  ) {}

  /**
   * x with a share of its elements set to 0 and the rest divided by 1 - share. Padding becomes 0.
   * @param x_BTD  float [B, T, D].
   * @param module  Number of the module within the model.
   */
  apply(x_BTD: Tensor, module: number, share: number): Tensor {
    const { device } = x_BTD
    const generator = generators.get(device) ?? new Generator(0, device)
    generators.set(device, generator)
    const keep_BTD = scope(() => {
      const mask = zeros(x_BTD.shape, { dtype: x_BTD.dtype, device })
      this.segments ??= segmentsOf(this.batch)
      for (const { row, start, length, sample } of this.segments) {
        generator.seed(mixSeeds(this.seed, sample, module))
        scope(() => void bernoulli_(narrow(select(mask, 0, row), 0, start, length), 1 - share, generator))
      }
      return mul_(mask, 1 / (1 - share))
    })
    return mul(x_BTD, keep_BTD)
  }
}

function segmentsOf({ rows, length, segment_BT, samples }: Batch): Segment[] {
  const segments: Segment[] = []
  for (let row = 0; row < rows; row++) {
    for (let start = 0, end = 0; start < length; start = end) {
      const segment = segment_BT[row * length + start]!
      while (end < length && segment_BT[row * length + end] === segment) end++
      if (segment >= 0) segments.push({ row, start, length: end - start, sample: samples[segment]!.index })
    }
  }
  return segments
}

/** One unsigned 32-bit number from several: the finaliser of MurmurHash3 over a running sum. */
export function mixSeeds(...parts: readonly number[]): number {
  let h = 0x9e3779b9
  for (const part of parts) {
    h = Math.imul(h ^ (part % 2 ** 32), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13) ^ Math.floor(part / 2 ** 32), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return h >>> 0
}
