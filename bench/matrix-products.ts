import type { ModelConfig } from '@adapt-ts/adapt'
import { type Device, type DType, linear, mm, noGrad, ones, scope, synchronize } from '@adapt-ts/torch'
import type { BenchShape } from './step-runner.js'

/**
 * FLOPs of one training step: 6 for each weight of a matrix product and token, and those of causal attention, 6 L H E T a token (half of the
 * keys). Norms, activations and the optimiser are left out, as is what is computed again in backward.
 */
export function stepFlops({ config, rows, length }: BenchShape): number {
  const { numHiddenLayers: L, numAttentionHeads: H, headDim: E } = config
  return rows * length * (6 * productWeights(config) + 6 * L * H * E * length)
}

/** Weights that take part in a matrix product: all matrices but the embedding. */
function productWeights(config: ModelConfig): number {
  const { hiddenSize: D, intermediateSize: F, numAttentionHeads: H, numKeyValueHeads: K, headDim: E } = config
  return config.numHiddenLayers * (2 * D * H * E + 2 * D * K * E + 3 * D * F) + config.vocabSize * D
}

/** Products of a step, [n, k] x [k, m], and one that is large whatever the model: the best of them is what the machine can do. */
const SQUARE = 2048

/** Measures what matrix products reach, a little in every block, so that both sides of a share see the same machine. */
export class MatrixProducts {
  /** FLOPs per second of the fastest product so far. */
  best = 0
  private readonly shapes: readonly (readonly [n: number, k: number, m: number])[]

  constructor(
    { config, rows, length }: BenchShape,
    private readonly dtype: DType,
    private readonly device: Device,
  ) {
    const n = rows * length
    const { hiddenSize: D, intermediateSize: F, vocabSize: V } = config
    this.shapes = [
      [n, D, F],
      [n, F, D],
      [Math.min(n, 512), D, V],
      [SQUARE, SQUARE, SQUARE],
    ]
  }

  measure(): void {
    noGrad(() => {
      for (const [n, k, m] of this.shapes) {
        scope(() => {
          const options = { dtype: this.dtype, device: this.device }
          const x = ones([n, k], options)
          const [weight, transposed] = [ones([k, m], options), ones([m, k], options)]
          for (const product of [() => mm(x, weight), () => linear(x, transposed)]) {
            product().dispose()
            synchronize(this.device)
            const start = performance.now()
            product().dispose()
            synchronize(this.device)
            this.best = Math.max(this.best, (2 * n * k * m * 1000) / (performance.now() - start))
          }
        })
      }
    })
  }
}
