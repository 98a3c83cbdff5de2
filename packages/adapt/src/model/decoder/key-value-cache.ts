/** B rows, T positions, N positions of several rows, K key/value heads, E head size. */
import {
  copy_,
  type Device,
  type DType,
  indexCopy_,
  indexSelect,
  narrow,
  reshape,
  scope,
  type Tensor,
  view,
  zeros,
} from '@adapt-ts/torch'
import type { ModelConfig } from '../dimensions/model-config.js'

/**
 * Keys and values of the positions so far, so that a new position costs one column of attention. Rows of different
 * lengths end together: what stands before a shorter one is padding.
 */
export class KeyValueCache {
  /** Columns that are held, those of the longest row. */
  length = 0
  /** Columns before the beginning of each row. */
  padding: readonly number[]
  private layers: readonly { readonly key_BTKE: Tensor; readonly value_BTKE: Tensor }[]
  /** Places among the B * T where new positions go, while rows are filled. */
  private place_N: Tensor | undefined

  constructor(
    config: ModelConfig,
    readonly maxLength: number,
    {
      padding = [0],
      dtype = 'float32',
      device,
    }: { readonly device: Device; readonly padding?: readonly number[]; readonly dtype?: DType },
  ) {
    this.padding = padding
    const shape = [padding.length, maxLength, config.numKeyValueHeads, config.headDim]
    // Padding has a weight of 0, which a NaN in memory that nobody wrote would survive.
    const held = () => zeros(shape, { dtype, device }).persist()
    this.layers = Array.from({ length: config.numHiddenLayers }, () => ({
      key_BTKE: held(),
      value_BTKE: held(),
    }))
  }

  /** What is appended meanwhile goes to places of its own. @param place_N  int64 [N] among the B * T. */
  fill(place_N: Tensor, use: () => void): void {
    this.place_N = place_N
    try {
      use()
    } finally {
      this.place_N = undefined
    }
  }

  /**
   * Takes the keys and values of new positions of one layer; `advance` makes them count.
   * @returns those of the last `window` positions, the new one included; all without a window. While rows are filled, those
   *   given. Current scope.
   */
  append(layer: number, key_BTKE: Tensor, value_BTKE: Tensor, window?: number): readonly [Tensor, Tensor] {
    const held = this.layers[layer]!
    const place_N = this.place_N
    if (place_N !== undefined) {
      scope(() => {
        put(held.key_BTKE, key_BTKE, place_N)
        put(held.value_BTKE, value_BTKE, place_N)
      })
      return [key_BTKE, value_BTKE]
    }
    const numNew = key_BTKE.shape[1]!
    const end = this.length + numNew
    const start = window === undefined ? 0 : Math.max(0, end - window)
    scope(() => {
      copy_(narrow(held.key_BTKE, 1, this.length, numNew), key_BTKE)
      copy_(narrow(held.value_BTKE, 1, this.length, numNew), value_BTKE)
    })
    return [narrow(held.key_BTKE, 1, start, end - start), narrow(held.value_BTKE, 1, start, end - start)]
  }

  /** Keys and values of all positions of one layer; in the current scope. */
  held(layer: number): readonly [Tensor, Tensor] {
    const { key_BTKE, value_BTKE } = this.layers[layer]!
    return [narrow(key_BTKE, 1, 0, this.length), narrow(value_BTKE, 1, 0, this.length)]
  }

  /** Counts `numNew` positions that every layer has appended. */
  advance(numNew: number): void {
    this.length += numNew
  }

  /** Keeps some of the rows, in the order given. @param row_B  int64, their places. */
  keep(rows: readonly number[], row_B: Tensor): void {
    this.padding = rows.map((row) => this.padding[row]!)
    this.layers = this.layers.map(({ key_BTKE, value_BTKE }) => {
      const kept = {
        key_BTKE: indexSelect(key_BTKE, 0, row_B).persist(),
        value_BTKE: indexSelect(value_BTKE, 0, row_B).persist(),
      }
      key_BTKE.dispose()
      value_BTKE.dispose()
      return kept
    })
  }

  /** Frees keys and values. */
  dispose(): void {
    for (const { key_BTKE, value_BTKE } of this.layers) {
      key_BTKE.dispose()
      value_BTKE.dispose()
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function put(held_BTKE: Tensor, new_BTKE: Tensor, place_N: Tensor): void {
  const [B, T, K, E] = held_BTKE.shape as [number, number, number, number]
  const [N] = place_N.shape as [number]
  indexCopy_(view(held_BTKE, [B * T, K, E]), 0, place_N, reshape(new_BTKE, [N, K, E]))
}
