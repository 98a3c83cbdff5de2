/** B rows, T positions, D width. */
import { bernoulli_, Generator, mul, mul_, narrow, scope, select, type Tensor, zeros } from '@adapt-ts/torch'
import type { Batch } from '../../batch/index.js'
import { type Stretch, stretchesOf } from '../decoder/model-inputs.js'

/** One generator per device, seeded anew for every sample: what it holds means nothing between two uses. */
const generators = new Map<string, Generator>()

/**
 * Dropout whose choices depend on (seed of the step, sample, module) alone: not on the row a sample stands in, its
 * neighbours, micro-batches or ranks. A recomputed forward drops the same inputs.
 *
 * Draws are made where the activations are. A seed drops the same inputs again on the same kind of device; the CPU and a GPU, and two models of
 * GPU, draw others from it. A run that goes on elsewhere drops other inputs from there on, with the same chances.
 */
export class AdapterDropout {
  private stretches: readonly Stretch[] | undefined

  /** @param isDense  Whether the samples stand one after another in one row without padding. */
  constructor(
    private readonly batch: Batch,
    private readonly seed: number,
    private readonly isDense: boolean,
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
      this.stretches ??= this.isDense ? inOneRow(stretchesOf(this.batch)) : stretchesOf(this.batch)
      for (const { row, start, length, segment } of this.stretches) {
        generator.seed(mixSeeds(this.seed, this.batch.samples[segment]!.index, module))
        scope(() => void bernoulli_(narrow(select(mask, 0, row), 0, start, length), 1 - share, generator))
      }
      return mul_(mask, 1 / (1 - share))
    })
    return mul(x_BTD, keep_BTD)
  }
}

function inOneRow(stretches: readonly Stretch[]): Stretch[] {
  let end = 0
  return stretches.map((stretch) => {
    const start = end
    end += stretch.length
    return { ...stretch, row: 0, start }
  })
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
